"""A pixel shows the object or the background, not half of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext

EDGE = 1e-3


@dataclass
class OpaqueConfig:
    """Options of `opaque`.

    middle: the opacity from which downhill leads to the object and to the background alike, 0.05 to 0.9; 0.5 in
    threestudio. Below it, what a teacher only half believes in is kept.
    """

    middle: float = 0.5

    def __post_init__(self) -> None:
        if not 0.05 <= self.middle <= 0.9:
            raise ValueError(f"middle: {self.middle}; an opacity, 0.05 to 0.9")


class Opaque(Regularizer):
    """Binary entropy of opacity: mean -(p ln p + (1 - p) ln(1 - p)), p = o^(ln 0.5 / ln middle), o in [1e-3, 1 - 1e-3].

    threestudio's opaque (systems/zero123.py), where p = o. Default weight 0.1 from its zero123.yaml.
    """

    name: ClassVar[str] = "opaque"
    needs: ClassVar[frozenset[str]] = frozenset({"opacity"})
    default_weight: ClassVar[float] = 0.1
    Config: ClassVar[type[Any]] = OpaqueConfig

    def penalty(self, context: LossContext) -> Tensor:
        opacity = context.view.opacity.clamp(EDGE, 1 - EDGE)
        share = opacity ** (math.log(0.5) / math.log(self.config.middle))
        return -(share * share.log() + (1 - share) * (1 - share).log()).mean()
