"""A radiance field read at the middles of cells as large as its finest detail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zero3d.interfaces import RadianceField

AXES = (0, 1, 2)
EMPTY = 1e-3
"""Alpha up to which a cell counts as empty."""
BORDER = 2
"""Empty cells about those that are not, in which differences are still taken."""


@dataclass
class GridConfig:
    """`cells`: read along each axis in a step, 4 to 512; of a finer field a block of so many, another in each step."""

    cells: int = 64

    def __post_init__(self) -> None:
        if not 4 <= self.cells <= 512:
            raise ValueError(f"cells: {self.cells}; 4 to 512 along each axis")


def cell_axes(field: RadianceField, cells: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Coordinates (X,), (Y,), (Z,) of the cells' middles, world units; of voxels, where their own numbers lie."""
    edges = (field.box[1] - field.box[0]).tolist()
    axes = []
    for axis, edge in enumerate(edges):
        whole = max(2, round(edge / field.spacing))
        taken = min(whole, cells)
        start = int(torch.randint(whole - taken + 1, (), generator=generator))
        places = (torch.arange(start, start + taken, device=field.box.device, dtype=field.box.dtype) + 0.5) / whole
        axes.append(field.box[0, axis] + places * edge)
    return tuple(axes)


def points_of(axes: Sequence[Tensor]) -> Tensor:
    """All points (X, Y, Z, 3) of a lattice."""
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def alpha_of(field: RadianceField, axes: Sequence[Tensor]) -> Tensor:
    """1 - exp(-density spacing), (X, Y, Z): how much of the light a cell stops."""
    return -torch.expm1(-field.lattice_density(axes) * field.spacing)


def filled(alpha: Tensor) -> tuple[slice, ...]:
    """Slices along x, y, z that hold every cell above EMPTY and BORDER more; of an empty field a few cells."""
    found = []
    for axis, side in enumerate(alpha.shape):
        others = [other for other in AXES if other != axis]
        some = (alpha.amax(dim=others) > EMPTY).nonzero()
        first, last = (int(some[0]), int(some[-1])) if len(some) else (0, 0)
        found.append(slice(max(0, first - BORDER), min(side, last + BORDER + 1)))
    return tuple(found)


def solid_alpha(field: RadianceField, cells: int, generator: torch.Generator) -> tuple[Tensor, tuple[int, ...]]:
    """`alpha_of` the cells of `cell_axes` about which anything is, and along how many cells it was looked for.

    Only these have a graph: most of a box is empty, and differences there are nothing, or of no account.
    """
    axes = cell_axes(field, cells, generator)
    with torch.no_grad():
        part = filled(alpha_of(field, axes))
    return alpha_of(field, [axis[side] for axis, side in zip(axes, part, strict=True)]), tuple(len(a) for a in axes)


def neighbours(values: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Each value beside the next one along an axis."""
    count = values.shape[axis]
    return values.narrow(axis, 0, count - 1), values.narrow(axis, 1, count - 1)
