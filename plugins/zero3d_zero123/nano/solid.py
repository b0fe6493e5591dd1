"""The lifted solid as a radiance field: what nano takes the pictured object for."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from zero3d.interfaces import RadianceField
from zero3d.values import Step
from zero3d_zero123.nano.draw import density_at, read
from zero3d_zero123.nano.lift import BOX, CELL, Lifted, turned


class SolidField(RadianceField):
    """One lifted volume in world axes; nothing of it is optimised."""

    name: ClassVar[str] = "lifted"

    def __init__(self, lifted: Lifted) -> None:
        super().__init__(None)
        self.cameras = lifted.cameras
        self.volume: Tensor
        self.register_buffer("volume", lifted.volume)
        self.channels, self.spacing = 3, 2 * BOX / lifted.volume.shape[-1]
        self.box: Tensor
        self.register_buffer("box", BOX * lifted.volume.new_tensor([[-1.0] * 3, [1.0] * 3]))

    def initialise(self, step: Step) -> None:
        """It is as it was lifted."""

    def density(self, points: Tensor) -> Tensor:
        """As `draw_rays` has it: softplus(logit) in the length of one of the lift's own cells, 0 outside the box."""
        places = self._places(points)
        inside = (places.abs() <= 1).all(dim=-1)[0, 0]
        return density_at(self.volume[:, :1], places)[0, 0] * inside / CELL

    def features(self, points: Tensor) -> Tensor:
        return read(self.volume[:, 1:], self._places(points))[0, :, 0].T.sigmoid()

    def _places(self, points: Tensor) -> Tensor:
        """World (N, 3) -> (1, 1, N, 3) in half-sides of the volume's box."""
        return turned(points[None], self.cameras)[:, None] / BOX
