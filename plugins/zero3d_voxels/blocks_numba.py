"""Where a voxel field is empty, and the parts of its gradient that are not 0: coarse maps for the CPU's march.

A block is BLOCK^3 cells, a cell lies between eight voxel centres (or the shell of zeros around the grid): block b of an
axis has the voxels 4b - 1 to 4b + 3, the shell's being -1 and n.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.vector_numba import compiled

BLOCK = 4
"""Cells along a block's side."""
FURTHEST = 6
"""Blocks that a look sees ahead."""


@compiled()
def fill(density: Any, sides: Any, empty_below: Any, filled: Any, worker: int, workers: int) -> None:
    """filled (z, y, x) = 1 where any corner of any of a block's cells is `empty_below` or more, else 0.

    density: flat (Z Y X). sides: Z, Y, X. This worker does each `workers`-th layer of blocks.
    """
    deep, high, wide = sides
    row = numpy.empty(wide, density.dtype)
    for bz in range(worker, filled.shape[0], workers):
        z0, z1 = max(BLOCK * bz - 1, 0), min(BLOCK * bz + BLOCK, deep)
        for by in range(filled.shape[1]):
            y0, y1 = max(BLOCK * by - 1, 0), min(BLOCK * by + BLOCK, high)
            edge = bz == 0 or by == 0 or BLOCK * bz + BLOCK > deep or BLOCK * by + BLOCK > high
            row[:] = density[(z0 * high + y0) * wide : (z0 * high + y0 + 1) * wide]
            for z in range(z0, z1):
                for y in range(y0, y1):
                    line = density[(z * high + y) * wide : (z * high + y + 1) * wide]
                    for x in range(wide):
                        row[x] = max(row[x], line[x])
            for bx in range(filled.shape[2]):
                shell = edge or bx == 0 or BLOCK * bx + BLOCK > wide
                some = shell and not empty_below > 0
                for x in range(max(BLOCK * bx - 1, 0), min(BLOCK * bx + BLOCK, wide)):
                    some = some or row[x] >= empty_below
                filled[bz, by, bx] = 1 if some else 0


@compiled()
def ahead(filled: Any, blocks: Any) -> None:
    """blocks (z, y, x), int8: how far the field stays as it is around each block, at most FURTHEST.

    k > 0: it is empty, and so is every block less than k away along each axis. -k <= 0: it is filled, and so is every
    block up to k away.
    """
    full = 0
    for value in filled.ravel():
        full += value
    if full == filled.size or full == 0:
        blocks[:] = FURTHEST if full == 0 else -FURTHEST
        return
    reached, other = numpy.empty_like(filled), numpy.empty_like(filled)
    flat, values, told = filled.ravel(), blocks.ravel(), reached.ravel()
    for kind in range(2):
        for i in range(len(flat)):
            told[i] = flat[i] if kind == 0 else 1 - flat[i]
            if told[i] == 0:
                values[i] = FURTHEST if kind == 0 else -FURTHEST
        for k in range(1, FURTHEST + kind):
            _widen(reached, other)
            for i in range(len(flat)):
                if told[i] != 0 and flat[i] == kind and abs(values[i]) == FURTHEST:
                    values[i] = k if kind == 0 else 1 - k


@compiled()
def _widen(reached: Any, other: Any) -> None:
    """A block is reached if it or any of the 26 around it was."""
    deep, high, wide = reached.shape
    for z in range(deep):
        for y in range(high):
            for x in range(wide):
                low, above = reached[z, y, max(x - 1, 0)], reached[z, y, min(x + 1, wide - 1)]
                other[z, y, x] = low | reached[z, y, x] | above
    for z in range(deep):
        for y in range(high):
            for x in range(wide):
                reached[z, y, x] = other[z, max(y - 1, 0), x] | other[z, y, x] | other[z, min(y + 1, high - 1), x]
    for z in range(deep):
        for y in range(high):
            for x in range(wide):
                other[z, y, x] = reached[max(z - 1, 0), y, x] | reached[z, y, x] | reached[min(z + 1, deep - 1), y, x]
    reached[:] = other


@compiled()
def merge(total: Any, part: Any, sides: Any, width: int, filled: Any, worker: int, workers: int) -> None:
    """total += part, and part = 0, where a cell of a filled block has a corner; flat grids (Z Y X width).

    Worker by worker each `workers`-th layer of four voxels.
    """
    _visit(total, part, sides, width, filled, worker, workers, True)


@compiled()
def clear(total: Any, sides: Any, width: int, filled: Any, worker: int, workers: int) -> None:
    """total = 0 where a cell of a filled block has a corner."""
    _visit(total, total, sides, width, filled, worker, workers, False)


@compiled()
def _visit(total: Any, part: Any, sides: Any, width: int, filled: Any, worker: int, workers: int, adding: bool) -> None:
    deep, high, wide = sides
    for bz in range(worker, (deep + BLOCK - 1) // BLOCK, workers):
        for by in range((high + BLOCK - 1) // BLOCK):
            bx = 0
            while BLOCK * bx < wide:
                first = bx
                while BLOCK * bx < wide and _touched(filled, bz, by, bx):
                    bx += 1
                for z in range(BLOCK * bz, min(BLOCK * bz + BLOCK, deep)):
                    for y in range(BLOCK * by, min(BLOCK * by + BLOCK, high)):
                        start = (z * high + y) * wide
                        begin, end = (start + BLOCK * first) * width, (start + min(BLOCK * bx, wide)) * width
                        if adding:
                            for i in range(begin, end):
                                total[i] += part[i]
                        part[begin:end] = 0
                bx += 1


@compiled()
def _touched(filled: Any, bz: int, by: int, bx: int) -> bool:
    """Whether voxels 4b to 4b + 3 along each axis are corners of a cell of a filled block: of b, or of the next."""
    some = 0
    for z in range(bz, min(bz + 2, filled.shape[0])):
        for y in range(by, min(by + 2, filled.shape[1])):
            for x in range(bx, min(bx + 2, filled.shape[2])):
                some |= filled[z, y, x]
    return some != 0
