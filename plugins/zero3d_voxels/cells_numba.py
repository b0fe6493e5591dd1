"""Which cells of a voxel field are not empty, and what its blocks of cells hold; compiled by numba."""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.vector_numba import compiled

BYTE, HALF = numpy.uint64(8), numpy.uint64(32)
TOP = numpy.uint64(56)
FOUR, NONE = numpy.uint64(0xFFFFFFFF), numpy.uint64(0)
FOUR_FILLED = numpy.uint64(0x01010101)


@compiled(outside=True)
def mark(filled: Any, cells: Any, some: Any, every: Any, any_cell: Any, all_cells: Any) -> None:
    """cells: which of them have a filled corner; some, every: of which blocks any cell has, of which all have.

    Maps of bytes, 0 or 1, the first two of eight in a number, the lowest being the first along x (as little-endian
    memory has them): filled (4 z + 1, 4 y + 1, N) voxels and cells (4 z, 4 y, N), flat, some and every (z, y, 2 N). N are
    so many that the last in each row holds nothing. any_cell, all_cells (N,): numbers to work with.
    """
    depth, height = some.shape[:2]
    words = len(any_cell)
    plane = (4 * height + 1) * words
    for layer in range(depth):
        for line in range(height):
            for n in range(words - 1):
                any_cell[n], all_cells[n] = NONE, ~NONE
            for z in range(4 * layer, 4 * layer + 4):
                for y in range(4 * line, 4 * line + 4):
                    a, row = z * plane + y * words, (z * 4 * height + y) * words
                    b, c, d = a + words, a + plane, a + plane + words
                    for n in range(words - 1):
                        this = filled[a + n] | filled[b + n] | filled[c + n] | filled[d + n]
                        m = n + 1
                        following = filled[a + m] | filled[b + m] | filled[c + m] | filled[d + m]
                        cells[row + n] = this | this >> BYTE | following << TOP
                    for n in range(words - 1):
                        any_cell[n] |= cells[row + n]
                        all_cells[n] &= cells[row + n]
            for n in range(words - 1):
                some[layer, line, 2 * n] = any_cell[n] & FOUR != NONE
                some[layer, line, 2 * n + 1] = any_cell[n] >> HALF != NONE
                every[layer, line, 2 * n] = all_cells[n] & FOUR == FOUR_FILLED
                every[layer, line, 2 * n + 1] = all_cells[n] >> HALF == FOUR_FILLED
