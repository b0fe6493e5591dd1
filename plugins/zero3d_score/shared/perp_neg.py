"""Perp-Neg: what a negative prompt says across the positive direction, per view (arXiv 2304.04968).

Texts that look from the front and from the side serve as negatives, "back" and "overhead" never (threestudio, whose weights
these are). A text denoiser offers such texts as branches; its "cond" is the text of the view's own direction. Each view's
negatives are predicted from its own latent; threestudio pairs them with other views' when a step has more than one. A
text that counts for none of a step's views is not asked.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from zero3d.diffusion import broadcast
from zero3d.interfaces import FRONT, SIDE
from zero3d.values import Cameras

BRANCHES = (FRONT, SIDE)
"""What a teacher must offer."""
OVERHEAD_DEG = 60.0
"""Above this elevation a view is seen from overhead, and has no negatives, where a teacher has no angle of its own."""


def across(other: Tensor, along: Tensor) -> Tensor:
    """perp(p, q) = p - <p, q> / <q, q> q, for each view over all its entries; <q, q> at least 1e-6."""
    axes = tuple(range(1, other.ndim))
    share = (other * along).sum(axes) / along.square().sum(axes).clamp(min=1e-6)
    return other - broadcast(share, along) * along


def weights(cameras: Cameras, overhead_deg: float = OVERHEAD_DEG) -> dict[str, Tensor]:
    """q <= 0 of each negative, (B,): 4 exp(-r / 2) - 2.426 and the like, r how near the front (or the side) is."""
    turn = cameras.azimuth.abs() / (math.pi / 2)
    ahead = turn < 1
    r = torch.where(ahead, 1 - turn, 2 - turn)
    front = torch.where(ahead, -(4 * torch.exp(-0.5 * r) - 2.426), -(torch.exp(-0.5 * r) + 0.967))
    side = torch.where(ahead, -(4 * torch.exp(-0.5 * (1 - r)) - 2.426), -(torch.exp(-0.5 * r) - 0.606))
    below = cameras.elevation <= math.radians(overhead_deg)
    return {FRONT: front * below, SIDE: side * below}


def active_branches(cameras: Cameras, overhead_deg: float = OVERHEAD_DEG) -> tuple[str, ...]:
    """The branches that count for some of these views."""
    return tuple(_counting(cameras, overhead_deg))


def _counting(cameras: Cameras, overhead_deg: float) -> dict[str, Tensor]:
    """Their weights."""
    return {name: weight for name, weight in weights(cameras, overhead_deg).items() if bool((weight != 0).any())}


def total(
    eps: Mapping[str, Tensor],
    base: Tensor,
    positive: Tensor,
    cameras: Cameras,
    overhead_deg: float = OVERHEAD_DEG,
) -> Tensor:
    """sum_i q_i perp(eps_i - base, positive), (B, h, w, C)."""
    summed = torch.zeros_like(positive)
    for name, weight in _counting(cameras, overhead_deg).items():
        summed = summed + broadcast(weight.to(positive), positive) * across(eps[name] - base, positive)
    return summed
