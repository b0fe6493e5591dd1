"""Which cells of a voxel field are not empty, what its blocks of cells hold, and how far a look sees; compiled by numba.

Loops run over whole layers where they can: rows are too short to be worth a vector loop.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.cpu.vector_numba import compiled, index

BYTE, HALF = numpy.uint64(8), numpy.uint64(32)
TOP = numpy.uint64(56)
FOUR, NONE = numpy.uint64(0xFFFFFFFF), numpy.uint64(0)
FOUR_FILLED = numpy.uint64(0x01010101)

SECOND = 16
"""What a mark of the second of two maps counts, when both are in one; FURTHEST marks of the first are fewer."""


@compiled()
def _bits(eight: Any) -> Any:
    """The lowest bits of eight bytes, in the lowest byte."""
    pairs = eight | eight >> numpy.uint64(7)
    fours = pairs | pairs >> numpy.uint64(14)
    return numpy.uint8(fours | fours >> numpy.uint64(28))


@compiled(outside=True)
def compare(density: Any, level: Any, filled: Any) -> None:
    """filled (4 z + 1, 4 y + 1, 8 N), bytes: 1 where density (Z, Y, X), or the shell of zeros around it, is not below
    `level` (so NaN is filled, and is seen); 0 beyond."""
    depth, height, width = density.shape
    layers, lines, length = filled.shape
    for z in range(layers):
        for y in range(lines):
            marks = filled[z, y]
            shell = not level > 0 and z < depth + 2 and y < height + 2
            for x in range(length):
                marks[x] = shell and x < width + 2
            if 0 < z <= depth and 0 < y <= height:
                values = density[z - 1, y - 1]
                for x in range(width):
                    marks[x + 1] = not values[x] < level


@compiled(outside=True)
def mark(filled: Any, cells: Any, some: Any, every: Any, any_cell: Any, all_cells: Any) -> None:
    """cells: which of them have a filled corner; some, every: of which blocks any cell has, of which all have.

    filled (4 z + 1, 4 y + 1, N), flat: voxels, bytes of 0 or 1, eight in a number, the lowest being the first along x (as
    little-endian memory has them). cells (4 z, 4 y + 1, N), flat: bytes of eight cells, the lowest bit being the first
    along x. some, every (z, y, x): bytes of 0 or 1. N are so many that the last in each row holds nothing; nor does the
    last row of cells. any_cell, all_cells (4 y + 1, N), flat: numbers to work with.
    """
    depth, height, width = some.shape
    words = len(any_cell) // (4 * height + 1)
    plane = (4 * height + 1) * words
    many = 4 * height * words - 1
    for layer in range(depth):
        for n in range(many):
            any_cell[n], all_cells[n] = NONE, ~NONE
        for z in range(4 * layer, 4 * layer + 4):
            low, out = filled[z * plane : (z + 2) * plane], cells[z * plane : (z + 1) * plane]
            back, up, both = low[words:], low[plane:], low[plane + words :]
            for n in range(many):
                this = low[n] | back[n] | up[n] | both[n]
                following = low[n + 1] | back[n + 1] | up[n + 1] | both[n + 1]
                marked = this | this >> BYTE | following << TOP
                out[n] = _bits(marked)
                any_cell[n] |= marked
                all_cells[n] &= marked
        for line in range(height):
            row = 4 * line * words
            for n in range(words - 1):
                a, b, c, d = row + n, row + n + words, row + n + 2 * words, row + n + 3 * words
                one = any_cell[a] | any_cell[b] | any_cell[c] | any_cell[d]
                all_of_them = all_cells[a] & all_cells[b] & all_cells[c] & all_cells[d]
                some[layer, line, 2 * n] = one & FOUR != NONE
                every[layer, line, 2 * n] = all_of_them & FOUR == FOUR_FILLED
                if 2 * n + 1 < width:
                    some[layer, line, 2 * n + 1] = one >> HALF != NONE
                    every[layer, line, 2 * n + 1] = all_of_them >> HALF == FOUR_FILLED


@compiled(outside=True)
def look(some: Any, every: Any, furthest: int, ahead: Any, here: Any, wider: Any, away: Any) -> None:
    """ahead (z, y, x), of signed bytes: see `blocks.Maps`. some, every (z, y, x): of `mark`.

    here, wider, away: bytes to work with, flat, the first two zeros. They have a layer more than there are blocks along
    each axis, so that shifts do not go round an end, and the first two one more at either end. Marks of `some`, and of
    those not in `every`, spread by a block along each axis, `furthest` - 1 times: what is not reached is further away.
    """
    depth, height, width = ahead.shape
    row, plane = width + 1, (height + 1) * (width + 1)
    many = (depth + 1) * plane
    for z in range(depth):
        for y in range(height):
            marks = here[plane + z * plane + y * row :]
            for x in range(width):
                marks[x] = some[z, y, x] + SECOND * (1 - every[z, y, x])
    for n in range(many):
        away[n] = furthest * (1 + SECOND) - here[index(plane + n)]
    for _ in range(1, furthest):
        for shift in (plane, row, 1):
            before, middle, after = here[plane - shift :], here[plane:], here[plane + shift :]
            reached = wider[plane:]
            for n in range(many):
                reached[n] = before[n] | middle[n] | after[n]
            here, wider = wider, here
        marks = here[plane:]
        for n in range(depth * plane, many):
            marks[index(n)] = 0
        for z in range(depth):
            for n in range(z * plane + height * row, (z + 1) * plane):
                marks[index(n)] = 0
            for y in range(height):
                marks[z * plane + y * row + width] = 0
        for n in range(many):
            away[n] -= marks[n]
    for z in range(depth):
        for y in range(height):
            found = away[z * plane + y * row :]
            for x in range(width):
                far = numpy.int32(found[x])
                ahead[z, y, x] = -(far // SECOND) if every[z, y, x] else far % SECOND
