"""What a ray sees lies at one distance."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext

SOLID = 0.5
"""Opacity above which a ray counts: the others would be pulled towards nothing."""
LEAST = 1e-10


class ZVariance(Regularizer):
    """Variance of the distance along each ray, mean over rays whose opacity is above 0.5: sum W (t - sum W t)^2.

    W = w / sum w, the ray's weights normalised (unnormalised it makes objects shrink). HiFA (arXiv 2305.18766, eq. 13),
    averaged over rays as in threestudio; which rays count is not differentiated. Default weight 100 as there.
    """

    name: ClassVar[str] = "z_variance"
    needs: ClassVar[frozenset[str]] = frozenset({"weights", "distances", "opacity"})
    default_weight: ClassVar[float] = 100.0

    def penalty(self, context: LossContext) -> Tensor:
        view = context.view
        assert view.weights is not None
        assert view.distances is not None
        solid = view.opacity[..., 0].detach() > SOLID
        weights, distances = view.weights[solid], view.distances[solid]
        share = weights / weights.sum(dim=-1, keepdim=True).clamp(min=LEAST)
        middle = (share * distances).sum(dim=-1, keepdim=True)
        variance = (share * (distances - middle).square()).sum(dim=-1)
        return variance.sum() / max(len(variance), 1)
