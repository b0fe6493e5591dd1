"""Most of space is empty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext


@dataclass
class EmptinessConfig:
    """`scale`: beta of ln(1 + beta w); 10 in SJC."""

    scale: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1e6:
            raise ValueError(f"scale: {self.scale}; above 0, at most 1e6")


class Emptiness(Regularizer):
    """Mean ln(1 + scale w) over all samples of all rays: few samples may carry a ray's weight.

    Score Jacobian Chaining (pals-ttic/sjc, run_sjc.py). Default weight 1e4, there 20 times that from half-way.
    """

    name: ClassVar[str] = "emptiness"
    needs: ClassVar[frozenset[str]] = frozenset({"weights"})
    default_weight: ClassVar[float] = 1e4
    Config: ClassVar[type[Any]] = EmptinessConfig

    def penalty(self, context: LossContext) -> Tensor:
        assert context.view.weights is not None
        scaled: Tensor = self.config.scale * context.view.weights.clamp(min=0)
        return scaled.log1p().mean()
