"""What MCC makes: a surface in the world, as a mesh, a field and a cloud of points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.solids import SampledSolid
from zero3d_mcc.shape.grid import REACH, places


@dataclass(frozen=True)
class Placement:
    """From normalised units to the world: x -> scale * turn x + offset, turn (3, 3) a rotation, offset (3,)."""

    turn: Tensor
    scale: float
    offset: Tensor

    def world(self, points: Tensor) -> Tensor:
        """(N, 3) -> (N, 3)."""
        return self.scale * points @ self.turn.T.to(points) + self.offset.to(points)


class Solid(SampledSolid):
    """An occupied region of the grid: its mesh, its outermost occupied places, and a field. Colours are those of the
    nearest vertex."""

    name: ClassVar[str] = "occupied_grid"

    def __init__(
        self, values: Tensor, mesh: tuple[Tensor, Tensor, Tensor], cloud: tuple[Tensor, Tensor], placement: Placement
    ) -> None:
        """values (G, G, G), indexed [x, y, z]: above 0 inside. mesh: vertices (V, 3), faces (F, 3), colours; cloud: places
        (N, 3), colours; both in normalised units."""
        spacing = placement.scale * 2 * REACH / len(values)
        vertices, (places, colours) = placement.world(mesh[0]), cloud
        box = torch.stack([vertices.amin(dim=0) - spacing, vertices.amax(dim=0) + spacing])
        # the grid is padded by a plane on every side, and its sample i lies at (2 i / G - 1) REACH
        stretch, middle = len(values) / (len(values) + 1), 1 / (len(values) + 1)
        turn = placement.turn.to(values).T * (stretch / (REACH * placement.scale))
        to_grid = torch.cat([turn, (middle - turn @ placement.offset.to(values))[:, None]], dim=1)
        distances = nearness(padded(values))
        super().__init__((placement.world(places), colours), (vertices, *mesh[1:]), distances, to_grid, spacing, box)


def padded(values: Tensor) -> Tensor:
    """(G, G, G) with a plane on every side where nothing is, so that the surface closes at the grid's end."""
    return functional.pad(values, (1,) * 6, value=min(float(values.min()), -1.0))


def nearness(values: Tensor) -> Tensor:
    """(G, G, G), above 0 inside -> distances from the surface in cells, above 0 inside, at most 1.

    Next to the surface, as far along an axis as it is where the values, linear in between, are 0; else 1.
    """
    least = torch.ones_like(values)
    for axis in range(3):
        a, b = (values.narrow(axis, start, values.shape[axis] - 1) for start in (0, 1))
        crossed = (a > 0) != (b > 0)
        share = torch.where(crossed, a / torch.where(crossed, a - b, 1), 1)
        for start, part in ((0, share), (1, torch.where(crossed, 1 - share, 1))):
            place = least.narrow(axis, start, len(values) - 1)
            place.copy_(torch.minimum(place, part))
    return torch.where(values > 0, least, -least)


def march(values: Tensor) -> tuple[Tensor, Tensor]:
    """The surface at 0 of values (G, G, G) above 0 inside: vertices (V, 3), normalised units, faces (F, 3) counter-clockwise
    seen from outside; closed."""
    from skimage.measure import marching_cubes

    volume: Any = padded(values).float().cpu().numpy()
    vertices, faces, _, _ = marching_cubes(volume, 0.0, gradient_direction="ascent", allow_degenerate=False)
    index = torch.from_numpy(vertices.astype(numpy.float32)) - 1
    return places(index, len(values)).to(values), torch.from_numpy(faces.astype(numpy.int64)).to(values.device)


def outermost(values: Tensor) -> Tensor:
    """(N, 3) int64: indices of the occupied samples next to one that is not."""
    outside = functional.pad((values <= 0).float(), (1,) * 6, value=1.0)[None, None]
    near = torch.zeros_like(values, dtype=torch.bool)
    for axis in range(3):
        for start in (0, 2):
            part = outside[0, 0].narrow(axis, start, len(values))
            for other in {0, 1, 2} - {axis}:
                part = part.narrow(other, 1, len(values))
            near |= part > 0
    return (near & (values > 0)).nonzero()
