"""Where a voxel field is empty: maps of blocks for the CPU's march, from `cells_numba`'s.

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


def filled_cells(density: Any, empty_below: Any) -> tuple[Any, Any, Any]:
    """Cells a corner of which is `empty_below` or more, of a density (Z, Y, X); blocks with such, blocks of such alone.

    The first map is larger than the cells are many, its shape that of whole words; no sample lies in the rest of it.
    """
    from zero3d_voxels.cells_numba import mark

    depth, height, width = (side // BLOCK + 1 for side in density.shape)
    words = (width + 1) // 2 + 1
    filled = numpy.zeros((BLOCK * depth + 1, BLOCK * height + 1, 8 * words), bool)
    filled[tuple(slice(side + 2) for side in density.shape)] = not empty_below > 0  # the shell of zeros
    numpy.greater_equal(density, empty_below, out=filled[tuple(slice(1, side + 1) for side in density.shape)])
    cells = numpy.empty((BLOCK * depth, BLOCK * height, 8 * words), bool)
    some, every = numpy.zeros((2, depth, height, 2 * words), bool)
    eights = filled.view(numpy.uint64).ravel(), cells.view(numpy.uint64).ravel()
    mark(*eights, some.view(numpy.uint8), every.view(numpy.uint8), *numpy.empty((2, words), numpy.uint64))
    return cells, some[..., :width], every[..., :width]


def look_ahead(some: Any, every: Any) -> Any:
    """Blocks (z, y, x), int8: how far the field stays as it is around each, from `some` and `every` of its cells marked.

    k > 0: it is empty, and so is every block less than k away along each axis, k being FURTHEST at most. -k < 0: all of
    its cells are marked, and so are those of every block less than k away. 0: some are.
    """
    if every.all() or not some.any():
        return numpy.where(every, -FURTHEST, FURTHEST).astype(numpy.int8)
    to_filled, to_empty = _away(numpy.stack([some, ~every]))
    return numpy.where(every, -to_empty, to_filled * ~some)


def _away(maps: Any) -> Any:
    """How many blocks away, along the axis where it is furthest, the nearest block of each map (M, z, y, x) is; int8.

    FURTHEST where it is further.
    """
    shape = [side + 1 for side in maps.shape[1:]]  # with a layer beyond, shifts of the flat map cannot go round an end
    inner = (slice(None), *(slice(side) for side in maps.shape[1:]))
    lined = numpy.zeros((len(maps), *shape), bool)
    real = numpy.zeros(shape, bool)
    lined[inner], real[inner[1:]] = maps, True
    reached, real = lined.reshape(len(maps), -1), real.ravel()
    away = numpy.full(reached.shape, FURTHEST, numpy.int8)
    away -= reached
    for _ in range(1, FURTHEST):
        for shift in (shape[1] * shape[2], shape[2], 1):
            wider = reached.copy()
            wider[:, shift:] |= reached[:, :-shift]
            wider[:, :-shift] |= reached[:, shift:]
            reached = wider
        reached &= real
        away -= reached
    return away.reshape(lined.shape)[inner]


def touched_blocks(some: Any) -> Any:
    """Blocks of which one of the voxels 4b to 4b + 3 along each axis is a corner of a marked block's cell."""
    touched = some
    for axis in range(3):  # of the block itself, or of the next
        wider = touched.copy()
        wider[_along(axis, 0, -1)] |= touched[_along(axis, 1, None)]
        touched = wider
    return touched


def _along(axis: int, start: int, stop: int | None, step: int = 1) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, slice(start, stop, step))
