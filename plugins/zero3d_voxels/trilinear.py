"""Trilinear interpolation of a dense grid: what grid_sample computes, several times faster on a CPU.

PyTorch's 3D grid_sample visits points one by one and always differentiates in the places too. Here each of a cell's
eight corners is one gather over many points, and in the backward pass one scatter.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CACHED = 1 << 16
"""Points at a time on a CPU."""


def interpolate(grid: Tensor, place: Tensor) -> Tensor:
    """(1, C, Z, Y, X) at M places -> (C, M), differentiable once in the grid; in the places too, if they ask for it.

    `place` (3, M): x, y, z in voxels from the box's low corner, so that 0.5 is the first voxel's centre. Beyond the
    outermost centres values fade to 0 within one voxel (grid_sample with align_corners=False and padding_mode="zeros").
    """
    if place.requires_grad:
        size = place.new_tensor(grid.shape[:1:-1])[:, None]
        at = (2 * place / size - 1).T.reshape(1, 1, 1, -1, 3)
        return functional.grid_sample(grid, at, padding_mode="zeros", align_corners=False).reshape(grid.shape[1], -1)
    values: Tensor = _Trilinear.apply(grid, place)  # type: ignore[no-untyped-call]
    return values


class _Trilinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, grid: Tensor, place: Tensor) -> Tensor:
        # a shell of zeros, so that no corner needs a test of its bounds; in planes, of which one at a time is read
        padded = functional.pad(grid[0].contiguous(), (1,) * 6)
        values = place.new_empty(len(padded), place.shape[1])
        for some, index, part in _cells(place, padded.shape[1:]):
            for channel, value in zip(padded.flatten(1), values, strict=True):
                ends = [channel[corner:].index_select(0, index) for corner in _corners(padded.shape)]
                for axis in range(3):
                    ends = [torch.lerp(a, b, part[axis]) for a, b in zip(ends[::2], ends[1::2], strict=True)]
                value[some] = ends[0]
        ctx.save_for_backward(place)
        ctx.shape = padded.shape
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (place,) = ctx.saved_tensors
        total = gradient.new_zeros(ctx.shape)
        for some, index, part in _cells(place, ctx.shape[1:]):
            for channel, share in zip(total.flatten(1), gradient[:, some], strict=True):
                shares = [share]
                for axis in (2, 1, 0):
                    upper = [share * part[axis] for share in shares]
                    shares = [half for share, up in zip(shares, upper, strict=True) for half in (share - up, up)]
                for corner, share in zip(_corners(ctx.shape), shares, strict=True):
                    channel[corner:].scatter_add_(0, index, share)
        return total[:, 1:-1, 1:-1, 1:-1][None], None  # autograd copies it into the grid's layout


def _cells(place: Tensor, sides: torch.Size) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """For some points at a time: which, their cells' low corners in a flat padded grid, and (3, m) where in the cell.

    On a CPU few enough that everything about them stays in its cache.
    """
    depth, height, width = sides
    last = place.new_tensor([[width - 1], [height - 1], [depth - 1]])
    many = CACHED if place.device.type == "cpu" else max(place.shape[1], 1)
    for start in range(0, place.shape[1], many):
        some = slice(start, start + many)
        shifted = (place[:, some] + 0.5).clamp_(min=0).minimum(last)
        low = shifted.floor().minimum(last - 1)
        x, y, z = low.long()
        yield some, (z * height + y).mul_(width).add_(x), shifted.sub_(low)


def _corners(shape: torch.Size) -> list[int]:
    """Offsets of a cell's corners in a flat (C, Z, Y, X) grid's channel, x fastest."""
    _, _, height, width = shape
    return [(z * height + y) * width + x for z in (0, 1) for y in (0, 1) for x in (0, 1)]
