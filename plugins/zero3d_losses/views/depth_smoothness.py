"""Neighbouring pixels lie at about the same depth."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext


class DepthSmoothness(Regularizer):
    """Mean absolute first difference of depth: S(D) = (mean |D_x| + mean |D_y|) / 2.

    Plain differences, as Zero-1-to-3's 3drec/run_zero123.py. Default weight 1e4 from its README (the code's own default
    is 1e5); there a tenth of it acts on the input view from the start and all of it on novel views from half-way.
    """

    name: ClassVar[str] = "depth_smoothness"
    needs: ClassVar[frozenset[str]] = frozenset({"depth"})
    default_weight: ClassVar[float] = 1e4

    def penalty(self, context: LossContext) -> Tensor:
        depth = context.view.depth
        assert depth is not None
        across = (depth[:, :, 1:] - depth[:, :, :-1]).abs().mean()
        down = (depth[:, 1:] - depth[:, :-1]).abs().mean()
        return (across + down) / 2
