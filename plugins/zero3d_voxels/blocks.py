"""Where a voxel field is empty: coarse maps for the CPU's march.

A block is BLOCK^3 cells, a cell lies between eight voxel centres (or the shell of zeros around the grid): block b of an
axis has the voxels 4b - 1 to 4b + 3, the shell's being -1 and n.
"""

from __future__ import annotations

from typing import Any

import numpy

BLOCK = 4
"""Cells along a block's side."""
FURTHEST = 6
"""Blocks that a look sees ahead."""


def filled_blocks(density: Any, empty_below: float) -> Any:
    """Blocks (z, y, x) any corner of any of whose cells is `empty_below` or more; density (Z, Y, X)."""
    some = density >= empty_below
    for axis in range(3):  # along z first: whole planes are joined, and what is left for the slow x is small
        voxels = some.shape[axis]
        blocks = voxels // BLOCK + 1
        shape = list(some.shape)
        shape[axis] = BLOCK * blocks + 1
        lined = numpy.zeros(shape, bool)
        lined[_along(axis, 0, voxels + 2, voxels + 1)] = not empty_below > 0
        lined[_along(axis, 1, voxels + 1)] = some
        some = lined[_along(axis, 0, -1, BLOCK)].copy()
        for corner in range(1, BLOCK + 1):
            some |= lined[_along(axis, corner, BLOCK * (blocks - 1) + corner + 1, BLOCK)]
    return some


def look_ahead(filled: Any) -> Any:
    """Blocks (z, y, x), int8: how far the field stays as it is around each block, at most FURTHEST.

    k > 0: it is empty, and so is every block less than k away along each axis. -k <= 0: it is filled, and so is every
    block up to k away.
    """
    if filled.all() or not filled.any():
        return numpy.where(filled, -FURTHEST, FURTHEST).astype(numpy.int8)
    return numpy.where(filled, 1 - _away(~filled, FURTHEST + 1), _away(filled, FURTHEST))


def _away(blocks: Any, most: int) -> Any:
    """How many blocks away, along the axis where it is furthest, the nearest of `blocks` (z, y, x) is; int8, to `most`."""
    shape = [side + 1 for side in blocks.shape]  # with a layer beyond, shifts of the flat map cannot go round an end
    inner = tuple(slice(side) for side in blocks.shape)
    lined = numpy.zeros((2, *shape), bool)
    lined[0][inner], lined[1][inner] = blocks, True
    reached, real = lined.reshape(2, -1)
    away = numpy.full(reached.shape, most, numpy.int8)
    away -= reached
    for _ in range(1, most):
        for shift in (shape[1] * shape[2], shape[2], 1):
            wider = reached.copy()
            wider[shift:] |= reached[:-shift]
            wider[:-shift] |= reached[shift:]
            reached = wider
        reached &= real
        away -= reached
    return away.reshape(shape)[inner]


def touched_blocks(filled: Any) -> Any:
    """Blocks of which one of the voxels 4b to 4b + 3 along each axis is a corner of a cell of a filled block."""
    touched = filled
    for axis in range(3):  # of the block itself, or of the next
        wider = touched.copy()
        wider[_along(axis, 0, -1)] |= touched[_along(axis, 1, None)]
        touched = wider
    return touched


def _along(axis: int, start: int, stop: int | None, step: int = 1) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, stop, step))
