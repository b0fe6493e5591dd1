"""Background: what lies behind the object while it is optimised."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from zero3d.interfaces.component import Component
from zero3d.values import Cameras, Step


class Background(Component):
    """One for each view and step. The input views keep their picture's white, and so do previews and exports."""

    kind: ClassVar[str] = "background"
    latent: ClassVar[bool] = False
    """Whether it can stand behind a latent field; others are for RGB."""

    @abstractmethod
    def paint(self, cameras: Cameras, step: Step, white: Tensor) -> Tensor:
        """What lies behind B views: (C,), (h, w, C) for all, or (B, h, w, C), resized bilinearly; image space of the field.

        Args:
            white: the image space's white, (C,) or (h, w, C), on the run's device.
        """

    def parameters(self) -> list[nn.Parameter]:
        """What the run's optimizer fits of it, at the recipe's rate; asked after `load`, on the run's device."""
        return []
