"""The field, seen from the input camera, must be the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext, PosedView


@dataclass
class InputViewConfig:
    """`rgb` and `mask`: shares of the two squared errors. Zero-1-to-3's code has no mask term (mask: 0)."""

    rgb: float = 1.0
    mask: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= min(self.rgb, self.mask) <= max(self.rgb, self.mask) <= 1e6 or self.rgb + self.mask == 0:
            raise ValueError(f"rgb: {self.rgb}, mask: {self.mask}; both 0 to 1e6, one above 0")


class InputView(Regularizer):
    """Squared error of the picture and of its mask, seen from the input camera; of several, their weighted mean.

    rgb mean (decode(x_0) - I)^2 + mask mean (opacity_0 - M)^2, pictures in [0, 1]. Default weight 1e4, the figure of
    3drec's view_weight; there pictures are in [-1, 1], so that its 1e4 is 4e4 here (recipes/zero123-sjc.yaml). The
    picture:mask ratio 10:1 from threestudio's zero123.yaml (500:50).
    """

    name: ClassVar[str] = "input_view"
    needs: ClassVar[frozenset[str]] = frozenset({"input_view", "image", "opacity", "rgb"})
    default_weight: ClassVar[float] = 1e4
    default_view: ClassVar[str] = "input"
    Config: ClassVar[type[Any]] = InputViewConfig

    def penalty(self, context: LossContext) -> Tensor:
        all_of_them = context.view is context.input  # "input", the default; "input.LABEL" is one alone
        inputs = [one for one in context.inputs if all_of_them or one.view is context.view]
        weights = [one.posed.weight for one in inputs]
        errors = torch.stack([self._error(one, context.decode) for one in inputs])
        return (errors * errors.new_tensor(weights)).sum() / sum(weights)

    def _error(self, one: PosedView, decode: Callable[[Tensor], Tensor]) -> Tensor:
        """Of one picture, at its view's size."""
        rgb, opacity, picture = decode(one.view.image), one.view.opacity, one.posed.picture
        seen = picture.resized(*rgb.shape[1:3]).rgb.expand_as(rgb)
        mask = picture.resized(*opacity.shape[1:3]).mask.expand_as(opacity)
        return self.config.rgb * mse_loss(rgb, seen) + self.config.mask * mse_loss(opacity, mask)
