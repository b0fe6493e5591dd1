"""A pixel shows the object or the background, not half of each."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext

EDGE = 1e-3


class Opaque(Regularizer):
    """Binary entropy of opacity: mean -(o ln o + (1 - o) ln(1 - o)), o clamped to [1e-3, 1 - 1e-3].

    threestudio's opaque (systems/zero123.py). Default weight 0.1 from its zero123.yaml.
    """

    name: ClassVar[str] = "opaque"
    needs: ClassVar[frozenset[str]] = frozenset({"opacity"})
    default_weight: ClassVar[float] = 0.1

    def penalty(self, context: LossContext) -> Tensor:
        opacity = context.view.opacity.clamp(EDGE, 1 - EDGE)
        return -(opacity * opacity.log() + (1 - opacity) * (1 - opacity).log()).mean()
