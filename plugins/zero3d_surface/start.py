"""What a mesh can start from: a sphere, a file, or the surface of a radiance field."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy
import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.interfaces import RadianceField
from zero3d.mesh_files import load_mesh

CHUNK = 2**18
"""Points asked of a field at a time."""
LEVELS = 128
"""Thresholds tried, evenly in their logarithm, over three decades."""
CLEARANCE = 0.05
"""No sample stays nearer to the level than this share of it: faces keep some width, for the rasterizer and the edges."""


class Start(NamedTuple):
    """Vertices (V, 3) in world axes, faces (F, 3), features (V, C) as in SurfaceRepresentation.surface, or None."""

    vertices: Tensor
    faces: Tensor
    features: Tensor | None = None


def sphere(subdivisions: int, radius: float) -> Start:
    """An icosahedron, subdivided so often, with its vertices on a sphere about the origin."""
    import trimesh

    return _start(trimesh.creation.icosphere(subdivisions, radius))


def from_file(path: str) -> Start:
    """A mesh file's surface with its colours in sRGB, read from its texture where it has one.

    Vertices that a file keeps twice, for two texture coordinates or normals, become one: optimised, they would part.

    Raises:
        UserError: missing, unreadable, or without faces.
    """
    mesh = load_mesh(path)
    colours = None
    if mesh.visual.defined:
        visual = mesh.visual.to_color() if mesh.visual.kind == "texture" else mesh.visual
        colours = numpy.asarray(visual.vertex_colors)[:, :3] / 255
    _, first, number = numpy.unique(mesh.vertices.round(6), axis=0, return_index=True, return_inverse=True)
    start = _start(mesh)
    faces = torch.from_numpy(number.reshape(-1)[numpy.asarray(mesh.faces)])
    kept = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    features = None if colours is None else torch.from_numpy(colours[first]).float()
    return Start(start.vertices[first], faces[kept], features)


def from_field(field: RadianceField, resolution: int, threshold: float | str, smallest_share: float) -> Start:
    """The closed surface of a field by Marching Cubes, without floaters and inner cavities, with its features there.

    Args:
        resolution: samples along the box's longest side.
        threshold: a density, or "auto": that of the field's surface, if it knows it, or the one whose surface casts the
            field's own silhouettes along the three axes.
        smallest_share: pieces below this share of the largest one's volume are dropped.

    Raises:
        RecipeError: nothing is that dense; the line names the highest density and the remedy.
    """
    from scipy import ndimage
    from skimage.measure import marching_cubes

    low, high = field.box.detach().cpu().double()
    size = float((high - low).max()) / resolution
    axes = [torch.arange(float(a) + size / 2, float(b), size) for a, b in zip(low, high, strict=True)]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    density = _asked(field.density, points.reshape(-1, 3), field).reshape(points.shape[:3]).double().numpy()
    if not numpy.isfinite(density).all():
        raise RecipeError(
            "representation: the former stage's field holds nan or inf; it diverged, lower its optimizer.lr"
        )
    level = float(threshold) if threshold != "auto" else field.surface_density or silhouette_threshold(density, size)
    # a hard edge lies midway between its samples however dense the inside is; the border of zeros closes the surface
    share = numpy.pad(numpy.minimum(density / level, 2.0), 1)
    solid = ndimage.binary_fill_holes(share >= 1)
    pieces, count = ndimage.label(solid)
    if not count:
        raise RecipeError(
            f"representation.threshold: {threshold}, but the former stage's field holds no such surface (highest density "
            f"{density.max():.4g}); optimise that stage for more steps, or give a lower density"
        )
    volumes = numpy.bincount(pieces.ravel())[1:]
    kept = numpy.concatenate([[False], volumes >= smallest_share * volumes.max()])[pieces]
    share[solid & ~kept] = 0
    share[kept & (share < 1)] = 2  # a cavity
    share = numpy.where(share >= 1, numpy.maximum(share, 1 + CLEARANCE), numpy.minimum(share, 1 - CLEARANCE))
    places, faces, _, _ = marching_cubes(share, 1.0, gradient_direction="ascent")
    origin = numpy.array([float(axis[0]) - size for axis in axes])
    vertices = torch.from_numpy(places * size + origin).float()
    return Start(vertices, torch.from_numpy(faces.astype(numpy.int64)), _asked(field.features, vertices, field))


def silhouette_threshold(density: numpy.ndarray, size: float) -> float:
    """The threshold whose surface casts the silhouettes of a density grid (X, Y, Z), seen in parallel along its axes.

    A column belongs to the silhouette where light loses half its strength along it, and to a threshold's surface where any
    of its samples is as dense. Of the best agreement (intersection over union, all three axes) the middle one is taken;
    infinite where no light is lost.

    Args:
        size: between samples, world units.
    """
    dark = numpy.concatenate([(density.sum(axis=axis) * size > math.log(2)).ravel() for axis in range(3)])
    peaks = numpy.concatenate([density.max(axis=axis).ravel() for axis in range(3)])
    if not dark.any():
        return math.inf
    levels = numpy.geomspace(1e-3, 1, LEVELS) * peaks.max()
    agreement = numpy.array([(dark & (peaks >= t)).sum() / (dark | (peaks >= t)).sum() for t in levels])
    best = numpy.flatnonzero(agreement == agreement.max())
    return float(levels[best[len(best) // 2]])


def _asked(what: Any, points: Tensor, field: RadianceField) -> Tensor:
    with torch.no_grad():
        return torch.cat([what(part.float().to(field.box.device)).float().cpu() for part in points.split(CHUNK)])


def _start(mesh: Any) -> Start:
    vertices, faces = (torch.from_numpy(numpy.array(part)) for part in (mesh.vertices, mesh.faces))
    return Start(vertices.float(), faces.long())
