"""The density of a cloud at points of space."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from zero3d_gaussians.drawing.projection import rotations

REACH = 4.3
"""Standard deviations at which a Gaussian ends: 1e-4 of its height."""
MOST_OPACITY = 0.999
PAIRS = 2**22
"""Points times Gaussians worked on at once where every one is asked at every point."""


class Blobs(NamedTuple):
    """means (N, 3); inverses (N, 3, 3), whose rows turn an offset into standard deviations; heights (N,)."""

    means: Tensor
    inverses: Tensor
    heights: Tensor


def blobs(means: Tensor, quaternions: Tensor, log_scales: Tensor, opacities: Tensor, detail: float) -> Blobs:
    """Gaussians as bumps of density, per world unit.

    A ray through the centre along u absorbs 1 - exp(-height sqrt(2 pi) / |S^-1/2 u|). Its height is such that this is
    the opacity where |S^-1/2 u| has its root mean square over the directions, sqrt(trace(S^-1) / 3): exact for a
    round one. Then it is blurred by detail / 2, which keeps the whole of what it absorbs.
    """
    scales = log_scales.exp()
    inverse_square = (scales**-2).mean(dim=-1)
    heights = -torch.log1p(-opacities.clamp(max=MOST_OPACITY)) * inverse_square.sqrt() / math.sqrt(2 * math.pi)
    wide = (scales.square() + (detail / 2) ** 2).sqrt()
    return Blobs(means, rotations(quaternions).mT / wide[..., None], heights * (scales / wide).prod(dim=-1))


def density_and_features(made: Blobs, values: Tensor, points: Tensor, otherwise: float) -> tuple[Tensor, Tensor]:
    """Density (P,) at points (P, 3), and the mean (P, C) of the Gaussians' values (N, C) by their density there.

    Differentiable; without a graph, on a CPU, a kernel asks only the Gaussians nearby.
    """
    columns = torch.cat([torch.ones_like(made.heights)[:, None], values], dim=1) * made.heights[:, None]
    wants_graph = torch.is_grad_enabled() and any(part.requires_grad for part in (*made, values, points))
    if points.device.type == "cpu" and not wants_graph and len(points) and len(columns):
        from zero3d_gaussians.cloud.nearby import summed

        sums = summed(made.means, made.inverses, columns, points, REACH)
    else:
        size = max(1, PAIRS // max(len(columns), 1))
        parts = [
            checkpoint(_everywhere, *made[:2], columns, part, use_reentrant=False)
            if wants_graph
            else _everywhere(*made[:2], columns, part)
            for part in points.split(size)
        ]
        sums = torch.cat(parts) if parts else columns.new_zeros(0, columns.shape[1])
    tiny = 1e-12
    return sums[:, 0], (sums[:, 1:] + tiny * otherwise) / (sums[:, :1] + tiny)


def _everywhere(means: Tensor, inverses: Tensor, columns: Tensor, points: Tensor) -> Tensor:
    """Sums (P, F) of columns (N, F) by each Gaussian's share at each point."""
    square = means.new_zeros(len(points), len(means))
    for row in inverses.unbind(1):  # an offset's component, without (P, N, 3)
        square = square + (points @ row.T - (means * row).sum(dim=-1)).square()
    share = (-0.5 * square).exp()
    return torch.where(square < REACH**2, share, torch.zeros_like(share)) @ columns
