"""A colour for every point of a surface: from the field itself, or, for a latent field, from decoded views."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import orbit, project
from zero3d.interfaces import ExportSubject, RadianceField, SurfaceRepresentation

DEPTHS = (0.0, 0.5, 1.0, 1.5)
"""How far below the surface colour is read, in units of the field's spacing: what a ray sees is a mean over this."""
CHUNK = 2**18
"""Points asked of the field at a time."""
RING = tuple((elevation, azimuth) for elevation in (-15.0, 20.0, 55.0) for azimuth in range(0, 360, 45))


def coloured(mesh: Any, subject: ExportSubject) -> Any:
    """A copy of a trimesh.Trimesh, world axes, with the colours of what is exported at its vertices."""
    import trimesh

    colour = colours(mesh.vertices, mesh.vertex_normals, subject)
    rgba = numpy.concatenate([numpy.round(255 * colour), numpy.full((len(colour), 1), 255)], axis=1)
    return trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=rgba.astype(numpy.uint8), process=False)


def colours(points: numpy.ndarray, normals: numpy.ndarray, subject: ExportSubject) -> numpy.ndarray:
    """(N, 3) in [0, 1] for N points of the surface of what is exported, and the unit normals there."""
    places, ups = (torch.from_numpy(numpy.array(array, dtype=numpy.float32)) for array in (points, normals))
    field = subject.representation
    if subject.decodes_pixelwise and isinstance(field, SurfaceRepresentation):
        return from_surface(points, field)
    if subject.decodes_pixelwise and isinstance(field, RadianceField):
        return from_field(places, ups, field)
    return from_views(places, ups, subject)


def from_field(points: Tensor, normals: Tensor, field: RadianceField) -> numpy.ndarray:
    """Features just below the surface, weighted by density."""
    found = []
    with torch.no_grad():
        for places, ups in zip(points.split(CHUNK), normals.split(CHUNK), strict=True):
            places, ups = places.to(field.box.device), ups.to(field.box.device)
            total, colour = torch.zeros_like(places[:, :1]), torch.zeros_like(places)
            for depth in DEPTHS:
                below = places - depth * field.spacing * ups
                weight = field.density(below)[:, None] + 1e-6
                colour += weight * field.features(below)
                total += weight
            found.append((colour / total).clamp(0, 1).cpu())
    return torch.cat(found).numpy()


def from_surface(points: numpy.ndarray, source: SurfaceRepresentation) -> numpy.ndarray:
    """Features of the nearest point of the mesh."""
    import igl

    vertices, faces, _ = (part.detach().cpu().numpy() for part in source.surface())
    vertices, faces = vertices.astype(numpy.float64), faces.astype(numpy.int64)
    _, face, nearest = igl.point_mesh_squared_distance(numpy.array(points, dtype=numpy.float64), vertices, faces)
    corners = (numpy.ascontiguousarray(vertices[faces[face, k]]) for k in range(3))
    weight = torch.from_numpy(igl.barycentric_coordinates(nearest, *corners)).float()
    device = source.surface()[0].device
    with torch.no_grad():
        features = source.features_at(torch.from_numpy(face.astype(numpy.int64)).to(device), weight.to(device))
    return features.clamp(0, 1).cpu().numpy()


def from_views(points: Tensor, normals: Tensor, subject: ExportSubject) -> numpy.ndarray:
    """Decoded renders from around, each weighted by how visible and how frontal the point is.

    A latent cannot be decoded point by point. Points that no view sees get the mean colour of the nearest seen ones.
    """
    from scipy.spatial import cKDTree

    slack = 3 * float(getattr(subject.representation, "spacing", 0.02))
    total, colour = torch.zeros(len(points), 1), torch.zeros(len(points), 3)
    elevation, azimuth = torch.tensor(RING).T
    cameras = orbit(elevation, azimuth, subject.resolution)
    views = [subject.input_camera.to("cpu"), *(cameras[i : i + 1] for i in range(len(cameras)))]
    with torch.no_grad():
        for camera in views:
            view = subject.draw(camera)
            rgb = subject.decode(view.image).cpu().clamp(0, 1)
            assert view.depth is not None
            places, distance = project(points, camera)
            seen = lookup(view.depth.cpu(), places)[:, 0]
            facing = functional.cosine_similarity(camera.position - points, normals, dim=-1).clamp(min=0)
            weight = (facing**2 * (distance[0] < seen + slack))[:, None]
            colour += weight * lookup(rgb, places)
            total += weight
    found = total[:, 0] > 1e-4
    if not found.any():
        return numpy.full((len(points), 3), 0.5)
    result = (colour / total.clamp(min=1e-4)).numpy()
    if not found.all():
        seen_points, others = points[found].numpy(), points[~found].numpy()
        nearest = cKDTree(seen_points).query(others, k=min(4, len(seen_points)))[1]
        result[~found.numpy()] = result[found.numpy()][nearest.reshape(len(nearest), -1)].mean(axis=1)
    return result


def lookup(picture: Tensor, places: Tensor) -> Tensor:
    """(1, H, W, C) at (1, N, 2) -> (N, C)."""
    planes = picture.permute(0, 3, 1, 2)
    return functional.grid_sample(planes, places[:, None], padding_mode="border", align_corners=False)[0, :, 0].T
