"""The object covers only part of a view."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext


class Sparsity(Regularizer):
    """Mean of a softened opacity: mean sqrt(opacity^2 + 0.01) - 0.1.

    threestudio's sparsity (systems/zero123.py), less the constant 0.1 so that an empty view costs nothing; the gradient
    is the same. Default weight 0.1 from its zero123.yaml.
    """

    name: ClassVar[str] = "sparsity"
    needs: ClassVar[frozenset[str]] = frozenset({"opacity"})
    default_weight: ClassVar[float] = 0.1

    def penalty(self, context: LossContext) -> Tensor:
        return ((context.view.opacity.square() + 0.01).sqrt() - 0.1).mean()
