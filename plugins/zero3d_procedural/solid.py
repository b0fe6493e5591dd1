"""What is solid: winding numbers on a grid, by counting the faces that each vertical line passes."""

from __future__ import annotations

import numpy

from zero3d_procedural.shapes import Mesh

FINE = 2
"""Points along a side of a cell."""
ASIDE = (0.00131, 0.00173)
"""Lines stand this share of their spacing aside, or they would meet the edges of upright boxes."""


def solid_share(mesh: Mesh, grid: int, extent: float) -> numpy.ndarray:
    """Which share of each cell of the cube [-extent, extent]^3 is solid, in eighths: (grid,) * 3 uint8, [x, y, z].

    Each cell is asked at FINE^3 points, so that walls thinner than a cell do not come and go with their place.
    """
    inside = winding_numbers(mesh, FINE * grid, extent) > 0
    split = inside.reshape(grid, FINE, grid, FINE, grid, FINE)
    return split.sum(axis=(1, 3, 5), dtype=numpy.uint8) * numpy.uint8(8 // FINE**3)


def winding_numbers(mesh: Mesh, grid: int, extent: float) -> numpy.ndarray:
    """How many of the closed, outward-oriented parts hold each cell centre, (grid,) * 3 int, [x, y, z].

    A line upwards enters the solid where it passes a face that looks down, and leaves it where one looks up.
    """
    spacing = 2 * extent / grid
    corners = (numpy.asarray(mesh.vertices)[numpy.asarray(mesh.faces)] + extent) / spacing - 0.5  # in cells' numbers
    corners[..., :2] -= ASIDE
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    area = _cross(b - a, c - a)  # twice the signed area seen from above; positive: the face looks up
    low = numpy.clip(numpy.ceil(corners[..., :2].min(axis=1)), 0, grid).astype(int)
    high = numpy.clip(numpy.floor(corners[..., :2].max(axis=1)) + 1, 0, grid).astype(int)
    size = numpy.maximum(high - low, 0)
    size[area == 0] = 0
    count = size.prod(axis=1)
    face = numpy.repeat(numpy.arange(len(count)), count)
    within = numpy.arange(len(face)) - numpy.repeat(numpy.cumsum(count) - count, count)
    column = low[face] + numpy.stack(
        [within // numpy.maximum(size[face, 1], 1), within % numpy.maximum(size[face, 1], 1)], 1
    )
    p = column.astype(float)
    weights = [_cross(u[face, :2] - p, v[face, :2] - p) / area[face] for u, v in ((b, c), (c, a), (a, b))]
    hit = (weights[0] >= 0) & (weights[1] >= 0) & (weights[2] >= 0)
    height = sum(w[hit] * corner[face[hit], 2] for w, corner in zip(weights, (a, b, c), strict=True))
    first = numpy.clip(numpy.ceil(height), 0, grid).astype(int)  # the first centre above the face
    change = numpy.zeros((grid, grid, grid + 1), dtype=int)
    numpy.add.at(change, (column[hit, 0], column[hit, 1], first), numpy.where(area[face[hit]] > 0, -1, 1))
    return numpy.cumsum(change, axis=2)[..., :grid]


def _cross(u: numpy.ndarray, v: numpy.ndarray) -> numpy.ndarray:
    product: numpy.ndarray = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    return product
