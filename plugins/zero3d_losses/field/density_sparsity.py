"""Space that nothing needs is empty, also where no camera looks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import RadianceField, Regularizer
from zero3d.values import LossContext


@dataclass
class DensitySparsityConfig:
    """`points`: how many places of the box are looked at in a step."""

    points: int = 32768

    def __post_init__(self) -> None:
        if not 1 <= self.points <= 10**7:
            raise ValueError(f"points: {self.points}; 1 to 10 million")


class DensitySparsity(Regularizer):
    """Mean ln(1 + 2 density^2) at random points of a radiance field's box.

    Plenoxels' Cauchy loss (arXiv 2112.05131, eq. 4), on uniform points rather than along rays, so that it also reaches
    fog that no ray sees. Default weight 10, this project's own guess, where the picture terms are sums over 64x64
    pixels: it empties the inside of closed shapes, and a weakly seen field dissolves under it; raise it with care.
    """

    name: ClassVar[str] = "density_sparsity"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = RadianceField
    default_weight: ClassVar[float] = 10.0
    Config: ClassVar[type[Any]] = DensitySparsityConfig

    def penalty(self, context: LossContext) -> Tensor:
        field = context.representation
        assert isinstance(field, RadianceField)
        chance = torch.rand(self.config.points, 3, generator=context.step.generator("points")).to(field.box)
        density = field.density(field.box[0] + chance * (field.box[1] - field.box[0]))
        return (2 * density.square()).log1p().mean()
