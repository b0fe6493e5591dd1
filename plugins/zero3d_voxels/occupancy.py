"""Where a voxel field is empty: coarse maps of bytes, made anew for each render."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BLOCK = 4
"""Cells along a block's side. A cell lies between eight voxel centres (or the shell of zeros around the grid)."""
REACH = BLOCK - 1.1
"""Voxels by which a sample may lie outside the block that was looked up, and still be answered for."""


def occupancy(raw_density: Tensor, empty_below: Tensor | float) -> tuple[Tensor, Tensor, Tensor]:
    """(1, 1, Z, Y, X) raw density -> three (z, y, x) maps in bytes, `filled`, `near` and `read`.

    Counted with the shell, voxel k of the grid is k + 1, and the cell above voxel p lies in block p // BLOCK. `filled` is
    0 where no corner of any of the block's cells is `empty_below` or more. `near` is 0 where `filled` is 0 in the block
    and the 26 around it, 2 where it is 1 in all of these, else 1: of samples within REACH of a block that is 0, none
    needs a look; of those near a 2, each is in a filled block. `read` is 0 where no cell of a filled block has a corner.
    """
    grid = raw_density.detach()[0, 0]
    for axis in range(3):
        grid = _largest(grid, axis)
    filled = (grid >= empty_below).to(torch.float32)
    near = _dilated(filled) + 1 - _dilated(1 - filled)
    read = functional.max_pool3d(functional.pad(filled[None], (1, 0) * 3), 2, stride=1)[0]
    return filled.to(torch.uint8), near.to(torch.uint8), read.to(torch.uint8)


def group_size(step_ratio: float) -> int:
    """How many samples in a row, each `step_ratio` voxels further at most, one look at the middle can answer for."""
    return 1 + int(2 * REACH / step_ratio)


def _dilated(blocks: Tensor) -> Tensor:
    for kernel in ((3, 1, 1), (1, 3, 1), (1, 1, 3)):
        padding = tuple(side // 2 for side in kernel)
        blocks = functional.max_pool3d(blocks[None], kernel, stride=1, padding=padding)[0]
    return blocks


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
