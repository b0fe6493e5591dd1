"""What a representation looks like to a browser: splats, points or a mesh, as numpy arrays in world axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import world_to_gltf
from zero3d.interfaces import PointCloud, RadianceField, Representation, SplatCloud, SurfaceRepresentation
from zero3d.mesh_files import srgb_to_linear
from zero3d.meshes.glb import glb_bytes

FAINTEST = 0.02
"""Opacity of a cell, or a Gaussian, below which it is not sent."""
SOLID = 0.95
"""Opacity of a cell behind which nothing shows."""
WIDTH = 0.6
"""Standard deviation of a cell's splat, in cells: neighbours melt into each other."""


@dataclass(frozen=True)
class Splats:
    """centres (N, 3), covariances (N, 3, 3), colours (N, 3) in [0, 1], opacities (N,), float32."""

    centres: numpy.ndarray
    covariances: numpy.ndarray
    colours: numpy.ndarray
    opacities: numpy.ndarray

    @property
    def bounds(self) -> numpy.ndarray:
        return _bounds(self.centres)


@dataclass(frozen=True)
class Points:
    """places (N, 3), colours (N, 3) in [0, 1], float32."""

    places: numpy.ndarray
    colours: numpy.ndarray

    @property
    def bounds(self) -> numpy.ndarray:
        return _bounds(self.places)


@dataclass(frozen=True)
class Mesh:
    """A GLB in glTF axes, and (2, 3) corners in world axes."""

    glb: bytes
    bounds: numpy.ndarray


Shape = Splats | Points | Mesh


def shape_of(representation: Representation, detail: int, most: int) -> Shape | None:
    """The representation as it is; None where only a renderer can show it, as of a latent.

    Args:
        detail: cells along the longest side of a radiance field's box.
        most: splats or points at the most; the most opaque are kept.
    """
    if representation.channels != 3:
        return None
    with torch.no_grad():
        if isinstance(representation, SurfaceRepresentation):
            return surface(*representation.surface())
        if isinstance(representation, SplatCloud):
            return _splats(*representation.splats(), most=most)
        if isinstance(representation, RadianceField):
            return field_splats(representation, detail, most)
        if isinstance(representation, PointCloud):
            places, colours = representation.points()
            kept = slice(None, None, -(-len(places) // most)) if len(places) else slice(None)
            return Points(_numpy(places[kept]), _numpy(colours[kept].clamp(0, 1)))
    return None


def surface(vertices: Tensor, faces: Tensor, colours: Tensor) -> Mesh | None:
    """Vertices (V, 3) in world axes, faces (F, 3), sRGB colours (V, 3) in [0, 1]; None without faces."""
    if not len(faces):
        return None
    corners = vertices[faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed.index_add_(0, faces[:, corner], normals)
    summed = functional.normalize(summed, dim=1)
    linear = srgb_to_linear(_numpy(colours.clamp(0, 1)))
    data = glb_bytes(_numpy(world_to_gltf(vertices)), _numpy(world_to_gltf(summed)), faces.cpu().numpy(), linear)
    return Mesh(data, _bounds(_numpy(vertices)))


def mesh_of(mesh: Any) -> Mesh:
    """Of a trimesh.Trimesh in world axes, as `load_mesh` gives it: with its texture, or its sRGB vertex colours.

    Written anew: a browser would fetch the decoders of compressed files, and pictures that a file names, from elsewhere.
    """
    if mesh.visual.kind == "texture":
        turned = mesh.copy()
        turned.vertices = world_to_gltf(torch.from_numpy(numpy.array(mesh.vertices))).numpy()
        return Mesh(turned.export(file_type="glb"), numpy.array(mesh.bounds))
    colours = numpy.full((len(mesh.vertices), 3), 0.7)
    if mesh.visual.kind in ("vertex", "face"):
        colours = numpy.asarray(mesh.visual.vertex_colors)[:, :3] / 255
    found = surface(
        torch.from_numpy(numpy.array(mesh.vertices)).float(),
        torch.from_numpy(numpy.array(mesh.faces, dtype=numpy.int64)),
        torch.from_numpy(colours).float(),
    )
    assert found is not None  # load_mesh refuses one without faces
    return found


def field_splats(field: RadianceField, detail: int, most: int) -> Splats:
    """One round splat for each cell of the box that shows: opaque by the density across it, in its colour there.

    A cell is left out where it is all but empty, or where all its neighbours are solid.
    """
    low, high = field.box
    cell = float((high - low).max()) / detail
    counts = ((high - low) / cell).round().clamp(min=1).int().tolist()
    axes = [low[i] + (high[i] - low[i]) * (torch.arange(n, device=low.device) + 0.5) / n for i, n in enumerate(counts)]
    opacity = 1 - torch.exp(-field.lattice_density(axes) * cell)
    padded = functional.pad(opacity, (1, 1, 1, 1, 1, 1))
    inner = slice(1, -1)
    around = torch.stack(
        [
            padded[2:, inner, inner],
            padded[:-2, inner, inner],
            padded[inner, 2:, inner],
            padded[inner, :-2, inner],
            padded[inner, inner, 2:],
            padded[inner, inner, :-2],
        ]
    ).amin(dim=0)
    shows = opacity * (around < SOLID)
    chosen = (shows > FAINTEST).flatten().nonzero()[:, 0]
    if len(chosen) > most:
        chosen = shows.flatten().topk(most).indices
    index = torch.unravel_index(chosen, opacity.shape)
    places = torch.stack([axis[i] for axis, i in zip(axes, index, strict=True)], dim=1)
    colours = field.features(places) if len(places) else places
    covariances = ((WIDTH * cell) ** 2 * torch.eye(3, device=low.device)).expand(len(places), 3, 3)
    return _splats(places, covariances, colours, opacity.flatten()[chosen], most)


def _splats(centres: Tensor, covariances: Tensor, colours: Tensor, opacities: Tensor, most: int) -> Splats:
    shows = (opacities > FAINTEST).nonzero()[:, 0]
    if len(shows) > most:
        shows = opacities.topk(most).indices
    parts = (centres, covariances, colours.clamp(0, 1), opacities)
    return Splats(*(_numpy(part[shows]) for part in parts))


def _numpy(tensor: Tensor) -> numpy.ndarray:
    return tensor.detach().float().cpu().numpy()


def _bounds(places: numpy.ndarray) -> numpy.ndarray:
    """(2, 3); a unit box of nothing."""
    if not len(places):
        return numpy.array([[-0.5] * 3, [0.5] * 3])
    return numpy.stack([places.min(axis=0), places.max(axis=0)])
