"""The surface faces about the same way a little further on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import RadianceField, Regularizer
from zero3d.values import LossContext

LEAST_SLOPE = 1e-3
"""Density per world unit squared: where it changes less, there is no surface and no normal."""
LEAST = 1e-6


@dataclass
class NormalSmoothness3DConfig:
    """Options of `normal_smoothness_3d`.

    points: how many places of the box are looked at in a step, 16 to 1 million. reach: standard deviation of the way to
    the second place, world units, above 0, at most 1 (0.01 in threestudio).
    """

    points: int = 16384
    reach: float = 0.01

    def __post_init__(self) -> None:
        if not 16 <= self.points <= 10**6:
            raise ValueError(f"points: {self.points}; 16 to 1 million")
        if not 0 < self.reach <= 1:
            raise ValueError(f"reach: {self.reach}; above 0, at most 1 world unit")


class NormalSmoothness3D(Regularizer):
    """Mean |n(p) - n(p + e)|_1 / 3 at random points, weighted by their alpha, e ~ N(0, reach^2), n the field's normal.

    threestudio's 3d_normal_smooth (systems/zero123.py), whose points are those of the rays; here they are uniform in the box
    and weigh as much as they stop of the light, alpha = 1 - exp(-density spacing), held fixed. n = -g / |g| by central
    differences over the spacing. It also smooths what no view sees. Default weight 5, this project's own choice.
    """

    name: ClassVar[str] = "normal_smoothness_3d"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = RadianceField
    default_weight: ClassVar[float] = 5.0
    Config: ClassVar[type[Any]] = NormalSmoothness3DConfig

    def penalty(self, context: LossContext) -> Tensor:
        field = context.representation
        assert isinstance(field, RadianceField)
        count = self.config.points
        chance = torch.rand(count, 3, generator=context.step.generator("points")).to(field.box)
        points = field.box[0] + chance * (field.box[1] - field.box[0])
        away = self.config.reach * torch.randn(count, 3, generator=context.step.generator("away")).to(points)
        with torch.no_grad():
            alpha = -torch.expm1(-field.density(points) * field.spacing)
        solid = alpha > LEAST
        points, away, alpha = points[solid], away[solid], alpha[solid]
        turn = (field.normals(points, LEAST_SLOPE) - field.normals(points + away, LEAST_SLOPE)).abs().mean(dim=-1)
        return (alpha * turn).sum() / alpha.sum().clamp(min=LEAST)
