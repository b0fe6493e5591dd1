"""A colour for every vertex: from the field itself, or, for a latent field, from decoded views."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import orbit, project
from zero3d.interfaces import ExportSubject, RadianceField

DEPTHS = (0.0, 0.5, 1.0, 1.5)
"""How far below the surface colour is read, in units of the field's spacing: what a ray sees is a mean over this."""
RING = tuple((elevation, azimuth) for elevation in (-15.0, 20.0, 55.0) for azimuth in range(0, 360, 45))


def from_field(mesh: Any, field: RadianceField) -> numpy.ndarray:
    """(V, 3) in [0, 1]: features just below the surface, weighted by density."""
    device = field.box.device
    vertices = torch.tensor(numpy.array(mesh.vertices), dtype=torch.float32, device=device)
    normals = torch.tensor(numpy.array(mesh.vertex_normals), dtype=torch.float32, device=device)
    total, colour = torch.zeros(len(vertices), 1, device=device), torch.zeros(len(vertices), 3, device=device)
    with torch.no_grad():
        for depth in DEPTHS:
            points = vertices - depth * field.spacing * normals
            weight = field.density(points)[:, None] + 1e-6
            colour += weight * field.features(points)
            total += weight
    return (colour / total).clamp(0, 1).cpu().numpy()


def from_views(mesh: Any, subject: ExportSubject) -> numpy.ndarray:
    """(V, 3) in [0, 1]: decoded renders from around, each weighted by how visible and how frontal the vertex is.

    A latent cannot be decoded point by point. Vertices that no view sees get the mean colour of the nearest seen ones.
    """
    from scipy.spatial import cKDTree

    vertices = torch.tensor(numpy.array(mesh.vertices), dtype=torch.float32)
    normals = torch.tensor(numpy.array(mesh.vertex_normals), dtype=torch.float32)
    slack = 3 * float(getattr(subject.representation, "spacing", 0.02))
    total, colour = torch.zeros(len(vertices), 1), torch.zeros(len(vertices), 3)
    elevation, azimuth = torch.tensor(RING).T
    cameras = orbit(elevation, azimuth, subject.resolution)
    views = [subject.input_camera.to("cpu"), *(cameras[i : i + 1] for i in range(len(cameras)))]
    with torch.no_grad():
        for camera in views:
            view = subject.draw(camera)
            rgb = subject.decode(view.image).cpu().clamp(0, 1)
            assert view.depth is not None
            places, distance = project(vertices, camera)
            seen = _lookup(view.depth.cpu(), places)[:, 0]
            facing = functional.cosine_similarity(camera.position - vertices, normals, dim=-1).clamp(min=0)
            weight = (facing**2 * (distance[0] < seen + slack))[:, None]
            colour += weight * _lookup(rgb, places)
            total += weight
    found = total[:, 0] > 1e-4
    if not found.any():
        return numpy.full((len(vertices), 3), 0.5)
    result = (colour / total.clamp(min=1e-4)).numpy()
    if not found.all():
        known = numpy.flatnonzero(found.numpy())
        nearest = cKDTree(mesh.vertices[known]).query(mesh.vertices[~found.numpy()], k=min(4, len(known)))[1]
        result[~found.numpy()] = result[known[nearest.reshape(len(nearest), -1)]].mean(axis=1)
    return result


def _lookup(picture: Tensor, places: Tensor) -> Tensor:
    """(1, H, W, C) at (1, N, 2) -> (N, C)."""
    planes = picture.permute(0, 3, 1, 2)
    return functional.grid_sample(planes, places[:, None], padding_mode="border", align_corners=False)[0, :, 0].T
