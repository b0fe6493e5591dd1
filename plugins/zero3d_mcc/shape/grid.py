"""The grid of places that are asked, coarsely at first and then finely where the surface is."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

REACH = 3.0
"""The grid goes from -3 to 3, normalised units, without its last plane (CO3D's, as published)."""


def samples(granularity: float) -> int:
    """Of the grid along an axis."""
    return math.ceil(2 * REACH / granularity)


def places(index: Tensor, count: int) -> Tensor:
    """Whole numbers along the grid's axes (..., 3), x first -> normalised units; not symmetric, as published."""
    return (index - count / 2) / (count / 2) * REACH


def dense(count: int) -> Tensor:
    """(count^3, 3): all places, z fastest."""
    axis = torch.arange(count)
    return places(torch.cartesian_prod(axis, axis, axis).float(), count)


def asked(
    value: Callable[[Tensor], Tensor], count: int, level: float, stride: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, int]:
    """What `value`, of places (N, 3), says on the grid, (G, G, G) indexed [x, y, z], and of how many places it was asked.

    First every `stride`-th place along each axis is asked. Blocks of stride^3 cells whose corners lie on both sides of
    `level` are then asked whole, and so are those into which the surface leads on, until it is closed. In other blocks
    the numbers lie between the corners', on their side of the level. So each surface that passes a coarse sample is as
    if all places had been asked; one that is finer than the stride may be missed. stride 1 asks all.
    """
    blocks = math.ceil((count - 1) / stride)
    side = blocks * stride + 1
    coarse = torch.cartesian_prod(*(torch.arange(blocks + 1) * stride,) * 3).to(device)
    corners = value(places(coarse.float(), count)).reshape(1, 1, *(blocks + 1,) * 3)
    calls = corners.numel()
    if stride == 1:
        return corners[0, 0], calls
    found = functional.interpolate(corners, (side,) * 3, mode="trilinear", align_corners=True)[0, 0]
    known = torch.zeros_like(found, dtype=torch.bool)
    known[::stride, ::stride, ::stride] = True
    found[::stride, ::stride, ::stride] = corners[0, 0]
    whole = torch.zeros((blocks,) * 3, dtype=torch.bool, device=device)
    new = _mixed(found > level, stride)
    while bool(new.any()):
        whole |= new
        index = (_covered(new, stride) & ~known).nonzero()
        found[index.unbind(dim=1)] = value(places(index.float(), count))
        known[index.unbind(dim=1)] = True
        calls += len(index)
        new = _mixed(found > level, stride) & ~whole
    return found[:count, :count, :count].contiguous(), calls


def _mixed(inside: Tensor, stride: int) -> Tensor:
    """(blocks^3) bool: whose samples, faces included, lie on both sides."""
    values = inside[None, None].float()
    high, low = (functional.max_pool3d(part, stride + 1, stride)[0, 0] for part in (values, 1 - values))
    return (high > 0) & (low > 0)


def _covered(blocks: Tensor, stride: int) -> Tensor:
    """The samples of some blocks, faces included."""
    for axis in range(3):
        spread = blocks.repeat_interleave(stride, dim=axis)
        none = torch.zeros_like(spread.narrow(axis, 0, 1))
        blocks = torch.cat([spread, none], dim=axis) | torch.cat([none, spread], dim=axis)
    return blocks
