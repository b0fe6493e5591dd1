"""What Point-E makes: a cloud, and around it a surface that can be read as a mesh or a field."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces import PointCloud, RadianceField, SurfaceRepresentation
from zero3d.values import Step
from zero3d_point_e.shape.surface import SIDE, nearest

DENSE = 10.0
"""The density inside, per cell: one cell hides nearly all that lies behind."""


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


class Solid(Cloud, SurfaceRepresentation, RadianceField):
    """A cloud with its surface: a mesh, and a field whose density rises across a cell of the distances' grid.

    Colours are those of the nearest point.
    """

    name: ClassVar[str] = "point_cloud_and_surface"

    def __init__(
        self, places: Tensor, colours: Tensor, vertices: Tensor, faces: Tensor, values: Tensor, turn: Tensor
    ) -> None:
        """`places`, `vertices`: in world axes. values (G, G, G): distances in the cloud's own axes. turn (3, 3): from those
        to the world's."""
        super().__init__(places, colours)
        self.spacing = SIDE / (values.shape[0] - 1)
        self.vertices: Tensor
        self.register_buffer("vertices", vertices)
        self.faces: Tensor
        self.register_buffer("faces", faces)
        self.values: Tensor
        self.register_buffer("values", values)
        self.turn: Tensor
        self.register_buffer("turn", turn)
        reach = turn.abs().sum(dim=1) * SIDE / 2
        self.box: Tensor
        self.register_buffer("box", torch.stack([-reach, reach]))

    @property
    def surface_density(self) -> float:
        return DENSE / self.spacing / 2

    def surface(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.vertices, self.faces, self.features(self.vertices)

    def density(self, points: Tensor) -> Tensor:
        own = points.to(self.turn) @ self.turn / (SIDE / 2)
        inside = (own.abs() <= 1).all(dim=-1)
        # grid_sample names the last axis first
        where = own.flip(-1)[None, None, None]
        value = functional.grid_sample(self.values[None, None], where, align_corners=True)[0, 0, 0, 0]
        return DENSE / self.spacing * (0.5 + value / self.spacing).clamp(0, 1) * inside

    def features(self, points: Tensor) -> Tensor:
        return self.colours[nearest(points, self.places)]


def turn_about_z(degrees: float, like: Tensor) -> Tensor:
    """(3, 3), counter-clockwise seen from above."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return like.new_tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
