"""No surface that is seen faces away."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.geometry import rays
from zero3d.interfaces import Regularizer
from zero3d.values import LossContext

LEAST = 1e-3
"""Opacity of a pixel that counts as nothing."""


class Orientation(Regularizer):
    """How much of what is seen faces away: mean over pixels of opacity max(0, n . d)^2, d the unit ray, n its normal.

    Ref-NeRF's orientation loss (arXiv 2112.03907, eq. 11) for each ray's mean normal n = sum w_i n_i / opacity, in place
    of each sample's; the same where a ray's normals agree, else less. As there, it does not pull on the opacity that
    weighs it. Default weight 0.01 from DreamFusion and stable-dreamfusion (threestudio's zero123.yaml: 1).
    """

    name: ClassVar[str] = "orientation"
    needs: ClassVar[frozenset[str]] = frozenset({"normals", "opacity"})
    default_weight: ClassVar[float] = 0.01

    def penalty(self, context: LossContext) -> Tensor:
        assert context.view.normals is not None
        _, directions = rays(context.cameras)
        away = (context.view.normals * directions.to(context.view.normals)).sum(dim=-1, keepdim=True).clamp(min=0)
        return (away.square() / context.view.opacity.detach().clamp(min=LEAST)).mean()
