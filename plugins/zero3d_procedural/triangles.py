"""Which integer points flat triangles cover: what pictures and solids of many triangles at once have in common."""

from __future__ import annotations

import torch
from torch import Tensor


def covered(flat: Tensor, wide: int, high: int) -> tuple[Tensor, Tensor]:
    """Every pair of a triangle and an integer point of its bounding box in [0, wide) x [0, high).

    Args:
        flat: (F, 3, 2) corners.

    Returns:
        Triangles (P,) int64, in rising order, and points (P, 2) int64.
    """
    end = torch.tensor([wide, high], device=flat.device)
    low = flat.amin(dim=1).ceil().long().clamp(min=0).minimum(end)
    size = (flat.amax(dim=1).floor().long() + 1).minimum(end).sub(low).clamp(min=0)
    count = size.prod(dim=-1)
    triangle = torch.repeat_interleave(count)
    within = torch.arange(len(triangle), device=flat.device) - (count.cumsum(0) - count)[triangle]
    across = size[:, 1][triangle]
    first = torch.div(within, across, rounding_mode="floor")
    return triangle, low[triangle] + torch.stack([first, within - first * across], dim=-1)


def barycentric(flat: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (P, 3) of the corners (P, 3, 2) at points (P, 2), and twice the signed area (P,) of each triangle.

    A point on an edge that two triangles share is in both or in neither, by the same arithmetic in both.
    """
    a, b, c = (flat - points[:, None]).unbind(dim=1)
    area = _cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0])
    return torch.stack([_cross(b, c), _cross(c, a), _cross(a, b)], dim=-1) / area[:, None], area


def _cross(u: Tensor, v: Tensor) -> Tensor:
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
