"""Differences of a grid's values from cell to cell; their components stand first, apart in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from zero3d_losses.field.grid import AXES, neighbours

FLAT = 1e-4
"""A slope as short as this counts as none: its length is softened there, so that it has a gradient."""


def slopes(values: Tensor) -> Tensor:
    """Forward differences (3, X - 1, Y - 1, Z - 1) of (X, Y, Z), per cell."""
    here = values[:-1, :-1, :-1]
    ahead = (values[1:, :-1, :-1], values[:-1, 1:, :-1], values[:-1, :-1, 1:])
    return torch.stack([value - here for value in ahead])


def middle_slopes(values: Tensor) -> Tensor:
    """Differences (3, X - 1, Y - 1, Z - 1) of (X, Y, Z) in the middle of each eight cells; mirrored with the grid."""
    found = []
    for axis in AXES:
        slope = values.diff(dim=axis)
        for other in AXES:
            if other != axis:
                one, next_one = neighbours(slope, other)
                slope = one + next_one
        found.append(slope)
    return torch.stack(found) / 4


def length(vectors: Tensor) -> Tensor:
    """sqrt(|v|^2 + FLAT^2) - FLAT, (...) of (3, ...): 0 where v is, and differentiable there."""
    return (vectors.square().sum(dim=0) + FLAT**2).sqrt() - FLAT
