"""The surface turns little from cell to cell."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import RadianceField, Regularizer
from zero3d.values import LossContext
from zero3d_losses.field.grid import AXES, GridConfig, neighbours, solid_alpha
from zero3d_losses.field.slopes import FLAT, length, middle_slopes


class NormalTV(Regularizer):
    """Squared difference of neighbouring unit gradients of alpha, weighted by the shorter: mean min(|g|, |g'|) |u - u'|^2.

    alpha = 1 - exp(-density spacing), g its difference in the middle of each eight cells (forward differences
    would see only some of the edges), u = g / |g|; mean over all pairs of neighbours. The
    smoothest of the three terms on the grid; thin walls keep their thickness. Default weight 300, measured with the
    picture terms as sums over 64x64 pixels.
    """

    name: ClassVar[str] = "normal_tv"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = RadianceField
    default_weight: ClassVar[float] = 300.0
    Config: ClassVar[type[Any]] = GridConfig

    def penalty(self, context: LossContext) -> Tensor:
        field = context.representation
        assert isinstance(field, RadianceField)
        alpha, sides = solid_alpha(field, self.config.cells, context.step.generator("block"))
        gradient = middle_slopes(alpha)
        size = length(gradient)
        unit = gradient / (size + FLAT)
        total = alpha.new_zeros(())
        for axis in AXES:
            (u, v), (short, long) = neighbours(unit, axis + 1), neighbours(size, axis)
            total = total + (torch.minimum(short, long) * (u - v).square().sum(dim=0)).sum()
        places = math.prod(side - 1 for side in sides)
        return total / sum(places * (side - 2) // (side - 1) for side in sides)
