"""Colour changes little from cell to cell of the object."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import RadianceField, Regularizer
from zero3d.values import LossContext
from zero3d_losses.field.grid import AXES, GridConfig, alpha_of, cell_axes, filled, neighbours, points_of

LEAST = 1e-3
"""Of the alphas' sum, in cells: an empty field has no colour."""


class ColourTV(Regularizer):
    """Squared difference of neighbouring colours, weighted by the smaller alpha: sum min(a, a') |c - c'|^2 / sum min(a, a').

    alpha = 1 - exp(-density spacing) is held fixed, so that density does not flee from colours. Plenoxels' smoothness of
    colours (arXiv 2112.05131, eq. 3) on what is solid. It takes streaks off sides that few views agree on, and blurs what is
    painted. Default weight 1, this project's own choice.
    """

    name: ClassVar[str] = "colour_tv"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = RadianceField
    default_weight: ClassVar[float] = 1.0
    Config: ClassVar[type[Any]] = GridConfig

    def penalty(self, context: LossContext) -> Tensor:
        field = context.representation
        assert isinstance(field, RadianceField)
        axes = cell_axes(field, self.config.cells, context.step.generator("block"))
        with torch.no_grad():
            alpha = alpha_of(field, axes)
            part = filled(alpha)
            alpha = alpha[part]
        points = points_of([axis[side] for axis, side in zip(axes, part, strict=True)])
        colour = field.features(points.reshape(-1, 3)).reshape(*points.shape[:-1], -1)
        change, weight = colour.new_zeros(()), colour.new_zeros(())
        for axis in AXES:
            (one, other), share = neighbours(colour, axis), torch.minimum(*neighbours(alpha, axis))
            change = change + (share * (one - other).square().sum(dim=-1)).sum()
            weight = weight + share.sum()
        return change / weight.clamp(min=LEAST)
