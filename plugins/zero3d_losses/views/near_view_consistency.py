"""A small camera move changes little."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext


class NearViewConsistency(Regularizer):
    """Mean absolute difference of image and of depth between the novel view and one from a camera close by.

    mean |x' - x| + mean |D' - D|, with gradients into both views (3drec/run_zero123.py). The camera sampler's
    `near_offset` is how far the camera moves (0.05 there). Default weight 1e4 from its README (code default 1e5).
    """

    name: ClassVar[str] = "near_view_consistency"
    needs: ClassVar[frozenset[str]] = frozenset({"image", "depth", "near_view"})
    default_weight: ClassVar[float] = 1e4

    def penalty(self, context: LossContext) -> Tensor:
        novel, near = context.novel, context.near
        assert near is not None
        assert near.depth is not None
        assert novel.depth is not None
        return (near.image - novel.image).abs().mean() + (near.depth - novel.depth).abs().mean()
