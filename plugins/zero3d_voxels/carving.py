"""Which voxels the views disagree about, and which none of them sees."""

from __future__ import annotations

import math

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d_voxels.light import hidden, mean_weights

SOLID = 0.2
"""Alpha from which a voxel is one of those that disagreement is measured by."""
FAINT = 3e-4
"""Weight in the views that is too small to tell whether they agree."""
HAZE = 0.2
"""Alpha of what hides nothing: fog in a hollow."""
DIM, FEW = 0.5, 0.08
"""A voxel is hidden if more than DIM of the light reaches it from less than FEW of all directions."""
FULL = 0.95
"""Alpha of a voxel that is filled."""


def inconsistent(density: Tensor, edges: numpy.ndarray, squares: Tensor, above: float) -> Tensor:
    """Where the colour's gradients fluctuate `above` times as much as at the typical solid voxel; boolean, (Z, Y, X).

    As a share of its weight in the views (see `mean_weights`). Both sides of the share are means of 3 x 3 x 3 voxels: one by
    one, too many would be left over.

    Args:
        density: (Z, Y, X), per voxel's side.
        edges: (3,), a voxel's sides along x, y and z, the shortest being 1.
        squares: (Z, Y, X), mean squared gradients of the colours.
    """
    weights = torch.from_numpy(mean_weights(_from_x(density), edges)).permute(2, 1, 0).to(density)
    found = _around(squares).sqrt() / (_around(weights) + FAINT)
    solid = density > optical_depth(SOLID)
    return found > above * found[solid].median() if bool(solid.any()) else torch.zeros_like(solid)


def unseen(density: Tensor, edges: numpy.ndarray) -> Tensor:
    """What hardly any light reaches, and is not solid yet; boolean. Shapes and units as in `inconsistent`."""
    clear = torch.where(density < optical_depth(HAZE), 0, density)
    dark = torch.from_numpy(hidden(_from_x(clear), edges, DIM, FEW)).permute(2, 1, 0).to(density.device)
    return dark & (density < optical_depth(FULL))


def optical_depth(alpha: float) -> float:
    """The optical depth that takes so much of the light."""
    return -math.log1p(-alpha)


def _from_x(values: Tensor) -> numpy.ndarray:
    """(Z, Y, X) -> (X, Y, Z), on the CPU."""
    return values.permute(2, 1, 0).float().cpu().numpy()


def _around(values: Tensor) -> Tensor:
    return functional.avg_pool3d(values[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
