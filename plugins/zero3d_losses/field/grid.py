"""A radiance field read at the middles of cells as large as its finest detail."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zero3d.interfaces import RadianceField

AXES = (0, 1, 2)


@dataclass
class GridConfig:
    """`cells`: read along each axis in a step, 4 to 512; of a finer field a block of so many, another in each step."""

    cells: int = 64

    def __post_init__(self) -> None:
        if not 4 <= self.cells <= 512:
            raise ValueError(f"cells: {self.cells}; 4 to 512 along each axis")


def cell_middles(field: RadianceField, cells: int, generator: torch.Generator) -> Tensor:
    """World points (X, Y, Z, 3) at the middles of the cells; of voxels, where their own numbers lie."""
    edges = (field.box[1] - field.box[0]).tolist()
    axes = []
    for axis, edge in enumerate(edges):
        whole = max(2, round(edge / field.spacing))
        taken = min(whole, cells)
        start = int(torch.randint(whole - taken + 1, (), generator=generator))
        places = (torch.arange(start, start + taken, device=field.box.device, dtype=field.box.dtype) + 0.5) / whole
        axes.append(field.box[0, axis] + places * edge)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def density_of(field: RadianceField, points: Tensor) -> Tensor:
    """Density (X, Y, Z) at points (X, Y, Z, 3), per world unit."""
    return field.density(points.reshape(-1, 3)).reshape(points.shape[:-1])


def alpha_of(field: RadianceField, points: Tensor) -> Tensor:
    """1 - exp(-density spacing), (X, Y, Z): how much of the light a cell stops."""
    return -torch.expm1(-density_of(field, points) * field.spacing)


def neighbours(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Each value beside the next one along an axis."""
    count = values.shape[axis]
    return values.narrow(axis, 0, count - 1), values.narrow(axis, 1, count - 1)
