"""Where a voxel field is empty: a coarse map of bytes, made anew for each render. (For CPUs: `blocks.survey`.)"""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 4
"""Cells along a block's side. A cell lies between eight voxel centres (or the shell of zeros around the grid)."""


def occupancy(raw_density: Tensor, empty_below: Tensor | float) -> Tensor:
    """(1, 1, Z, Y, X) raw density -> (z, y, x) bytes, 0 where all corners of a block's cells are below `empty_below`.

    NaN is not below: it is drawn, and seen.

    Counted with the shell, voxel k of the grid is k + 1, and the cell above voxel p lies in block p // BLOCK.
    """
    grid = raw_density.detach()[0, 0]
    for axis in range(3):
        grid = _largest(grid, axis)
    return (~(grid < empty_below)).to(torch.uint8)


def _largest(grid: Tensor, axis: int) -> Tensor:
    """The largest corner of each block of cells along one axis: its BLOCK voxels and the first of the next."""
    count = grid.shape[axis]
    first, middle = min(BLOCK - 1, count), max(0, (count - BLOCK + 1) // BLOCK)
    rest = count - first - middle * BLOCK
    shell = torch.zeros_like(grid.narrow(axis, 0, 1))
    blocks = [grid.narrow(axis, 0, first).amax(axis, keepdim=True).clamp(min=0)]
    if middle:
        blocks.append(grid.narrow(axis, first, middle * BLOCK).unflatten(axis, (middle, BLOCK)).amax(axis + 1))
    blocks.append(grid.narrow(axis, count - rest, rest).amax(axis, keepdim=True).clamp(min=0) if rest else shell)
    starts = grid.index_select(axis, torch.arange(first, count, BLOCK, device=grid.device))
    following = [starts, shell, shell] if rest == 0 else [starts, shell]
    return torch.maximum(torch.cat(blocks, axis), torch.cat(following, axis))
