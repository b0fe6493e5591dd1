"""Where a voxel field is empty: maps of blocks for the CPU's march, from `cells_numba`'s.

A block is BLOCK^3 cells, a cell lies between eight voxel centres (or the shell of zeros around the grid): block b of an
axis has the voxels 4b - 1 to 4b + 3, the shell's being -1 and n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

BLOCK = 4
"""Cells along a block's side."""
FURTHEST = 6
"""Blocks that a look sees ahead."""


@dataclass(frozen=True)
class Maps:
    """What of a field is empty.

    cells (z, y, N), uint8: whether a corner of a cell is not, eight cells along x in a byte, the first in the lowest bit. It
    is larger than the cells are many; no sample lies in the rest of it. some, every (z, y, x), uint8: 1 for a block with
    such a cell, and for one of such alone. ahead (z, y, x), int8: k > 0 for a block that is empty, as is every block less
    than k away along each axis, k being FURTHEST at most; -k < 0 if these are all `every`; 0 if some cells are marked.
    """

    cells: Any
    some: Any
    every: Any
    ahead: Any


def survey(density: Any, empty_below: Any) -> Maps:
    """The maps of a density (Z, Y, X) that is empty below a level."""
    from zero3d_voxels.cpu import cells_numba

    blocks = depth, height, width = tuple(side // BLOCK + 1 for side in density.shape)
    words = (width + 1) // 2 + 1
    filled = numpy.empty((BLOCK * depth + 1, BLOCK * height + 1, 8 * words), numpy.uint8)
    cells = numpy.empty((BLOCK * depth, BLOCK * height + 1, words), numpy.uint8)
    some, every = numpy.empty((2, *blocks), numpy.uint8)
    layer = numpy.empty((2, (BLOCK * height + 1) * words), numpy.uint64)
    cells_numba.compare(density, empty_below, filled)
    cells_numba.mark(filled.view(numpy.uint64).ravel(), cells.ravel(), some, every, *layer)
    return Maps(cells, some, every, look_ahead(some, every))


def look_ahead(some: Any, every: Any) -> Any:
    """`Maps.ahead` of its `some` and `every`."""
    from zero3d_voxels.cpu.cells_numba import look

    depth, height, width = some.shape
    plane = (height + 1) * (width + 1)
    ahead = numpy.empty(some.shape, numpy.int8)
    room = *numpy.zeros((2, (depth + 3) * plane), numpy.uint8), numpy.empty((depth + 1) * plane, numpy.uint8)
    look(some, every, FURTHEST, ahead, *room)
    return ahead
