"""What Point-E makes: a cloud, and around it a surface that can be read as a mesh or a field."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import PointCloud
from zero3d.solids import SampledSolid, nearest
from zero3d.values import Step
from zero3d_point_e.shape.surface import SIDE


class Cloud(PointCloud):
    """Coloured points in world axes; nothing of it is optimised."""

    name: ClassVar[str] = "point_cloud"

    def __init__(self, places: Tensor, colours: Tensor) -> None:
        super().__init__(None)
        self.channels = 3
        self.places: Tensor
        self.register_buffer("places", places)
        self.colours: Tensor
        self.register_buffer("colours", colours)

    def initialise(self, step: Step) -> None:
        """It is as it was made."""

    def points(self) -> tuple[Tensor, Tensor]:
        return self.places, self.colours


class Solid(SampledSolid):
    """A cloud with its surface. Colours are those of the nearest point."""

    name: ClassVar[str] = "point_cloud_and_surface"
    paint_by_cloud = True

    def __init__(
        self, places: Tensor, colours: Tensor, vertices: Tensor, faces: Tensor, values: Tensor, turn: Tensor
    ) -> None:
        """`places`, `vertices`: in world axes. values (G, G, G): distances in the cloud's own axes. turn (3, 3): from those
        to the world's."""
        spacing = SIDE / (values.shape[0] - 1)
        reach = turn.abs().sum(dim=1) * SIDE / 2
        mesh = vertices, faces, colours[nearest(vertices, places)]
        to_grid = torch.cat([turn.T / (SIDE / 2), turn.new_zeros(3, 1)], dim=1)
        super().__init__((places, colours), mesh, values / spacing, to_grid, spacing, torch.stack([-reach, reach]))


def turn_about_z(degrees: float, like: Tensor) -> Tensor:
    """(3, 3), counter-clockwise seen from above."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return like.new_tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
