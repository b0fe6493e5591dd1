"""Grids in bricks: each block of 4^3 voxels lies together in memory, with the shell of zeros that surrounds the grid.

The corners of a cell then share two or three cache lines, whatever way a ray goes, and no power of two in the grid's
sides makes them collide. Only bricks that a ray may read are filled; of others not even the memory is touched.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.vector_numba import compiled

SIDE = 4
VOXELS = SIDE**3
"""Voxels in a brick. Voxel (x, y, z) of the grid is (x + 1, y + 1, z + 1) here."""


@compiled()
def pack(grid: Any, sides: Any, flags: Any, bricks: Any, lanes: int, worker: int, workers: int) -> None:
    """Copy a flat grid (C Z Y X) into flat bricks (count, 64, lanes), lanes >= C, where flags (z, y, x) are set.

    sides: C, Z, Y, X. This worker copies each `workers`-th layer of bricks.
    """
    deep, high, wide = flags.shape
    for layer in range(worker, deep, workers):
        for row in range(high):
            for column in range(wide):
                if flags[layer, row, column] != 0:
                    brick = bricks[((layer * high + row) * wide + column) * VOXELS * lanes :][: VOXELS * lanes]
                    spans, whole = _spans(layer, row, column, sides)
                    if lanes > sides[0] or not whole:
                        brick[:] = 0
                    if whole:  # the compiler unrolls this one
                        _fill(grid, sides, spans, (0, SIDE, 0, SIDE, 0, SIDE), brick, lanes)
                    else:
                        _fill(grid, sides, spans, spans[3:], brick, lanes)


@compiled()
def clear(parts: Any, flags: Any, lanes: int, worker: int, workers: int) -> None:
    """Zeros into this worker's part (T, count 64 lanes), where flags (z, y, x) are set."""
    deep, high, wide = flags.shape
    for layer in range(deep):
        for row in range(high):
            for column in range(wide):
                if flags[layer, row, column] != 0:
                    start = ((layer * high + row) * wide + column) * VOXELS * lanes
                    parts[worker, start : start + VOXELS * lanes] = 0


@compiled()
def unpack(parts: Any, sides: Any, flags: Any, grid: Any, lanes: int, worker: int, workers: int) -> None:
    """A flat grid (C Z Y X) = the sum of parts (T, count 64 lanes), in order, where flags are set, and 0 elsewhere."""
    deep, high, wide = flags.shape
    for layer in range(worker, deep, workers):
        for row in range(high):
            for column in range(wide):
                start = ((layer * high + row) * wide + column) * VOXELS * lanes
                spans, whole = _spans(layer, row, column, sides)
                for part in range(len(parts) if flags[layer, row, column] != 0 else 1):
                    brick = parts[part, start : start + VOXELS * lanes]
                    keep = part > 0
                    take = flags[layer, row, column] != 0
                    if whole:
                        _add(brick, sides, spans, (0, SIDE, 0, SIDE, 0, SIDE), grid, lanes, keep, take)
                    else:
                        _add(brick, sides, spans, spans[3:], grid, lanes, keep, take)


@compiled()
def _spans(layer: int, row: int, column: int, sides: Any) -> Any:
    """First voxel of a brick (z, y, x) in the grid; from where to where (z, z, y, y, x, x) the brick lies inside it."""
    _, depth, height, width = sides
    z, y, x = layer * SIDE - 1, row * SIDE - 1, column * SIDE - 1
    z0, y0, x0 = max(-z, 0), max(-y, 0), max(-x, 0)
    z1, y1, x1 = min(depth - z, SIDE), min(height - y, SIDE), min(width - x, SIDE)
    whole = (z1 - z0) * (y1 - y0) * (x1 - x0) == VOXELS
    return (z, y, x, z0, z1, y0, y1, x0, x1), whole


@compiled()
def _fill(grid: Any, sides: Any, spans: Any, inside: Any, brick: Any, lanes: int) -> None:
    channels, depth, height, width = sides
    z0, z1, y0, y1, x0, x1 = inside
    for c in range(channels):
        for z in range(z0, z1):
            for y in range(y0, y1):
                source = ((c * depth + spans[0] + z) * height + spans[1] + y) * width + spans[2]
                for x in range(x0, x1):
                    place = ((z * SIDE + y) * SIDE + x) * lanes + c
                    brick[numpy.uint64(place)] = grid[numpy.uint64(source + x)]


@compiled()
def _add(brick: Any, sides: Any, spans: Any, inside: Any, grid: Any, lanes: int, keep: bool, take: bool) -> None:
    """grid = grid (if `keep`) + brick (if `take`)."""
    channels, depth, height, width = sides
    z0, z1, y0, y1, x0, x1 = inside
    for c in range(channels):
        for z in range(z0, z1):
            for y in range(y0, y1):
                source = ((c * depth + spans[0] + z) * height + spans[1] + y) * width + spans[2]
                for x in range(x0, x1):
                    place = numpy.uint64(source + x)
                    value = grid[place] if keep else brick.dtype.type(0)
                    if take:
                        value = value + brick[numpy.uint64(((z * SIDE + y) * SIDE + x) * lanes + c)]
                    grid[place] = value
