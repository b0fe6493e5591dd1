"""A signed distance grows by one a unit of length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext
from zero3d_sdf.field import SDFField

LEAST = 1e-12
"""Under the root: where the slope is 0 its length has no gradient."""


@dataclass
class EikonalConfig:
    """`points`: how many places of the box are looked at in a step, 16 to 10 million."""

    points: int = 32768

    def __post_init__(self) -> None:
        if not 16 <= self.points <= 10**7:
            raise ValueError(f"points: {self.points}; 16 to 10 million")


class Eikonal(Regularizer):
    """Mean (|grad d| - 1)^2 at random points of the box, the slope by central differences over one cell.

    Implicit Geometric Regularization (arXiv 2002.10099, eq. 3), as in VolSDF and NeuS. Default weight 0.1, VolSDF's and
    NeuS's, on losses that are means over pixels.
    """

    name: ClassVar[str] = "eikonal"
    needs: ClassVar[frozenset[str]] = frozenset()
    accepts: ClassVar[type[Any]] = SDFField
    default_weight: ClassVar[float] = 0.1
    Config: ClassVar[type[Any]] = EikonalConfig

    def penalty(self, context: LossContext) -> Tensor:
        field = context.representation
        assert isinstance(field, SDFField)
        reach = field.spacing / 2
        room = field.box - field.box.sign() * field.spacing  # beyond the outermost numbers it is constant
        chance = torch.rand(self.config.points, 3, generator=context.step.generator("points")).to(field.box)
        points = room[0] + chance * (room[1] - room[0])
        offsets = reach * torch.eye(3, dtype=points.dtype, device=points.device)
        ends = torch.stack([points + sign * offset for offset in offsets for sign in (1, -1)])
        distance = field.signed_distance(ends.reshape(-1, 3)).reshape(3, 2, -1)
        slope = (distance[:, 0] - distance[:, 1]) / (2 * reach)
        return ((slope.square().sum(dim=0) + LEAST).sqrt() - 1).square().mean()
