"""Trilinear interpolation of a dense grid: what grid_sample computes, several times faster on a CPU.

PyTorch's 3D grid_sample visits points one by one and always differentiates in the places too. Here each of a cell's eight
corners is one gather over all points, and in the backward pass one scatter.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional


def interpolate(grid: Tensor, place: Tensor) -> Tensor:
    """(1, C, Z, Y, X) at M places -> (C, M), differentiable once in the grid; in the places too, if they ask for it.

    `place` (3, M): x, y, z in voxels from the box's low corner, so that 0.5 is the first voxel's centre. Beyond the
    outermost centres values fade to 0 within one voxel (grid_sample with align_corners=False and padding_mode="zeros").
    """
    if place.requires_grad:
        size = place.new_tensor(grid.shape[:1:-1])[:, None]
        at = (2 * place / size - 1).T.reshape(1, 1, 1, -1, 3)
        return functional.grid_sample(grid, at, padding_mode="zeros", align_corners=False).reshape(grid.shape[1], -1)
    values: Tensor = _Trilinear.apply(grid, place)
    return values


class _Trilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grid: Tensor, place: Tensor) -> Tensor:
        padded = functional.pad(grid[0], (1,) * 6)  # a shell of zeros, so that no corner needs a test of its bounds
        channels, depth, height, width = padded.shape
        sides = place.new_tensor([[width], [height], [depth]])
        shifted = (place + 0.5).clamp(min=0).minimum(sides - 1)  # of the padded grid; in its shell all is 0
        low = shifted.floor().minimum(sides - 2)
        part = shifted - low  # (3, M) in [0, 1]
        x, y, z = low.long()
        index = (z * height + y) * width + x
        if channels > 1:
            first = torch.arange(channels, device=index.device)[:, None] * (depth * height * width)
            index = (first + index).flatten()
        corners = _corners(height, width)
        flat = padded.flatten()
        values = [flat[corner:].index_select(0, index).reshape(channels, -1) for corner in corners]
        for axis in range(3):
            values = [torch.lerp(a, b, part[axis]) for a, b in zip(values[::2], values[1::2], strict=True)]
        ctx.save_for_backward(index, part)
        ctx.shape, ctx.corners = padded.shape, corners
        return values[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        index, part = ctx.saved_tensors
        shares = [gradient]
        for axis in (2, 1, 0):
            upper = [share * part[axis] for share in shares]
            shares = [half for share, up in zip(shares, upper, strict=True) for half in (share - up, up)]
        total = gradient.new_zeros(ctx.shape)
        flat = total.view(-1)
        for corner, share in zip(ctx.corners, shares, strict=True):
            flat[corner:].scatter_add_(0, index, share.flatten())
        return total[:, 1:-1, 1:-1, 1:-1].contiguous()[None], None


def _corners(height: int, width: int) -> list[int]:
    """Offsets of a cell's corners in a flat grid, x fastest."""
    return [(z * height + y) * width + x for z in (0, 1) for y in (0, 1) for x in (0, 1)]
