"""What is solid: winding numbers on a grid, by counting the faces that each vertical line passes."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor

from zero3d_procedural.shapes import Mesh
from zero3d_procedural.triangles import barycentric, covered

FINE = 2
"""Points along a side of a cell."""
ASIDE = (0.00131, 0.00173)
"""Lines stand this share of their spacing aside, or they would meet the edges of upright boxes."""


def solid_share(mesh: Mesh, grid: int, extent: float) -> numpy.ndarray:
    """Which share of each cell of the cube [-extent, extent]^3 is solid, in eighths: (grid,) * 3 uint8, [x, y, z]."""
    corners = torch.from_numpy(numpy.asarray(mesh.vertices)[numpy.asarray(mesh.faces)])
    shares: numpy.ndarray = solid_shares(corners, torch.zeros(len(corners), dtype=torch.long), 1, grid, extent).numpy()
    return shares[0]


def solid_shares(corners: Tensor, owner: Tensor, objects: int, grid: int, extent: float) -> Tensor:
    """The same of several objects, (B, grid, grid, grid) uint8; see `winding_numbers`.

    Each cell is asked at FINE^3 points, so that walls thinner than a cell do not come and go with their place.
    """
    inside = winding_numbers(corners, owner, objects, FINE * grid, extent) > 0
    split = inside.reshape(objects, grid, FINE, grid, FINE, grid, FINE)
    return (split.sum(dim=(2, 4, 6)) * (8 // FINE**3)).to(torch.uint8)


def winding_numbers(corners: Tensor, owner: Tensor, objects: int, grid: int, extent: float) -> Tensor:
    """How many of the closed, outward-oriented parts hold each cell centre, (B, grid, grid, grid) int32, [b, x, y, z].

    A line upwards enters the solid where it passes a face that looks down, and leaves it where one looks up.

    Args:
        corners: (F, 3, 3) of all objects' triangles, float64.
        owner: (F,) whose each is.
    """
    places = (corners + extent) * (grid / (2 * extent)) - 0.5  # in cells' numbers
    flat = places[..., :2] - places.new_tensor(ASIDE)
    face, column = covered(flat, grid, grid)
    weights, area = barycentric(flat[face], column)
    hit = (weights >= 0).all(dim=-1) & (area != 0)
    face, column, weights, area = face[hit], column[hit], weights[hit], area[hit]
    height = (weights * places[face][..., 2]).sum(dim=-1)
    first = height.ceil().clamp(0, grid).long()  # the first centre above the face
    line = (owner[face] * grid + column[:, 0]) * grid + column[:, 1]
    change = torch.zeros(objects * grid * grid * (grid + 1), dtype=torch.int32, device=corners.device)
    turn = torch.where(area > 0, -1, 1).to(torch.int32)  # area is positive where the face looks up
    change.index_add_(0, line * (grid + 1) + first, turn)
    return change.reshape(objects, grid, grid, grid + 1).cumsum(dim=-1, dtype=torch.int32)[..., :grid]
