"""Neighbouring pixels face about the same way."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext


class NormalSmoothness(Regularizer):
    """Mean squared first difference of the rendered normals: mean (n_x)^2 + mean (n_y)^2, over their three numbers.

    threestudio's normal_smooth (systems/zero123.py), on normals times opacity. It smooths what is seen; silhouettes count
    as edges. Default weight 5, this project's own choice.
    """

    name: ClassVar[str] = "normal_smoothness"
    needs: ClassVar[frozenset[str]] = frozenset({"normals"})
    default_weight: ClassVar[float] = 5.0

    def penalty(self, context: LossContext) -> Tensor:
        normals = context.view.normals
        assert normals is not None
        down = (normals[:, 1:] - normals[:, :-1]).square().mean()
        return down + (normals[:, :, 1:] - normals[:, :, :-1]).square().mean()
