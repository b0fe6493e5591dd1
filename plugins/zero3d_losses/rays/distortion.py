"""What a ray sees lies at one depth."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext


class Distortion(Regularizer):
    """Spread of each ray's weights: mean over rays of sum_ij w_i w_j |s_i - s_j| + sum_i w_i^2 / (3 S).

    mip-NeRF 360 (arXiv 2111.12077, eq. 15) for equal steps; s_i = i / S is the place among the ray's S samples. It turns
    fog into surfaces. Default weight 0.01 as there, on a loss that is a mean over pixels.
    """

    name: ClassVar[str] = "distortion"
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    default_weight: ClassVar[float] = 0.01

    def penalty(self, context: LossContext) -> Tensor:
        weights = context.view.weights
        assert weights is not None
        count = weights.shape[-1]
        place = torch.arange(count, dtype=weights.dtype, device=weights.device) / count
        # sum_ij w_i w_j |s_i - s_j| = 2 sum_i w_i (s_i W_{<i} - M_{<i}), with running sums of w and of w s: linear in S
        before = weights.cumsum(dim=-1) - weights
        moment = (weights * place).cumsum(dim=-1) - weights * place
        between = 2 * (weights * (place * before - moment)).sum(dim=-1)
        within = weights.square().sum(dim=-1) / (3 * count)
        return (between + within).mean()
