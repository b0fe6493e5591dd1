"""The surface of the object is small."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import RadianceField, Regularizer
from zero3d.values import LossContext
from zero3d_losses.field.grid import GridConfig, solid_alpha
from zero3d_losses.field.slopes import length, slopes


class AreaTV(Regularizer):
    """Mean length of the difference of neighbouring alphas: mean |(a_x, a_y, a_z)|, alpha = 1 - exp(-density spacing).

    The total variation (Rudin, Osher, Fatemi 1992) of the cells' alphas, which for a solid is its surface in cells: bumps
    go, flat faces and sharp edges stay. Default weight 300, measured with the picture terms as sums over 64x64 pixels.
    """

    name: ClassVar[str] = "area_tv"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = RadianceField
    default_weight: ClassVar[float] = 300.0
    Config: ClassVar[type[Any]] = GridConfig

    def penalty(self, context: LossContext) -> Tensor:
        field = context.representation
        assert isinstance(field, RadianceField)
        alpha, sides = solid_alpha(field, self.config.cells, context.step.generator("block"))
        return length(slopes(alpha)).sum() / math.prod(side - 1 for side in sides)
