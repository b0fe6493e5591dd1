"""Where rays pass a voxel field: places along them, and the stretches that are not empty; compiled by numba."""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.blocks import BLOCK
from zero3d_voxels.vector_numba import compiled

T = 16
"""Rays that are drawn together: what one of them waits for, another computes."""
SLACK = numpy.float32(0.05)
"""Cells that are not counted on when samples are passed over: far more than places are rounded by."""
SLOW, MANY = numpy.float32(1e-9), numpy.float32(1 << 20)

# Rows of T numbers that describe rays: distance to the box, shift of the first sample; origin; direction; samples that one
# voxel's side along each axis takes, of the direction's sign.
START, SHIFT, OX, OY, OZ, DX, DY, DZ, PACE_X, PACE_Y, PACE_Z = (T * row for row in range(11))
RAY_FLOATS = 11 * T
# and where they are on their way through the blocks, in cells
_X, _Y, _Z = (T * row for row in range(3))

ZERO, HALF, ONE = (numpy.float32(value) for value in (0, 0.5, 1))


@compiled(exact=True)
def distance(start: Any, number: Any, size: Any, shift: Any) -> Any:
    """Rounded as `volume` rounds it, so that both have the same samples."""
    return start + (size * numpy.float32(number) + shift)


@compiled(exact=True)
def count_samples(chord: Any, size: Any, shift: Any, limit: int) -> int:
    """How many samples of a ray lie inside the box."""
    n = max(min(int((chord - shift) / size) - 1, limit), 0)
    while n < limit and size * numpy.float32(n) + shift < chord:
        n += 1
    while n > 0 and not (size * numpy.float32(n - 1) + shift < chord):
        n -= 1
    return n


@compiled(exact=True)
def place(origin: Any, direction: Any, t: Any, low: Any, voxels: Any) -> Any:
    """Where a sample lies along one axis, in voxels of the grid with its shell: the same bits wherever it is asked."""
    return ((origin + direction * t) - low) * voxels + HALF


@compiled()
def cell(at: Any, n: Any) -> Any:
    """The cell that a place lies in along one axis."""
    return numpy.int32(min(max(at, ZERO), n))


@compiled()
def aim(
    origins: Any,
    directions: Any,
    spans: Any,
    starts: Any,
    box: Any,
    size: Any,
    most: int,
    rays: Any,
    g: Any,
    counts: Any,
) -> None:
    """Describe up to T rays in g, and count their samples."""
    _, _, _, vx, vy, vz, _, _, _ = box
    for j in range(T):
        r = rays[min(j, len(rays) - 1)]
        g[START + j], g[SHIFT + j] = spans[r, 0], starts[r]
        g[OX + j], g[OY + j], g[OZ + j] = origins[r, 0], origins[r, 1], origins[r, 2]
        g[DX + j], g[DY + j], g[DZ + j] = directions[r, 0], directions[r, 1], directions[r, 2]
        g[PACE_X + j] = _pace(directions[r, 0] * vx * size)
        g[PACE_Y + j] = _pace(directions[r, 1] * vy * size)
        g[PACE_Z + j] = _pace(directions[r, 2] * vz * size)
        counts[j] = count_samples(spans[r, 1], size, starts[r], most) if j < len(rays) else 0


@compiled()
def _pace(voxels: Any) -> Any:
    return ONE / (voxels if abs(voxels) > SLOW else SLOW)


@compiled()
def _until(at: Any, side: Any, reach: Any, pace: Any) -> Any:
    """Samples until a ray leaves the blocks less than `reach` from its own, along one axis; too few rather than more."""
    low = numpy.float32(side & -BLOCK)
    edge = low + reach * BLOCK - SLACK if pace > ZERO else low - (reach - ONE) * BLOCK + SLACK
    return (edge - at) * pace


@compiled()
def traverse(g: Any, counts: Any, size: Any, box: Any, maps: Any, walk: Any, at: Any, runs: Any, found: Any) -> None:
    """runs (T, most + 1, 3): the stretches of each ray that are not in empty blocks, and `found`, how many.

    A stretch is its first sample, the one after its last, and 1 if cells must be asked one by one. walk: 3 T floats, at
    (3, T): integers, for what is on the way.
    """
    lx, ly, lz, vx, vy, vz, nx, ny, nz = box
    blocks, (wide, high), _, _ = maps
    number, block, far = at[0], at[1], at[2]
    for j in range(T):
        number[j] = found[j] = 0
    going = True
    while going:
        for j in range(T):
            t = distance(g[START + j], number[j], size, g[SHIFT + j])
            x = place(g[OX + j], g[DX + j], t, lx, vx)
            y = place(g[OY + j], g[DY + j], t, ly, vy)
            z = place(g[OZ + j], g[DZ + j], t, lz, vz)
            walk[_X + j], walk[_Y + j], walk[_Z + j] = x, y, z
            line = (cell(z, nz) // BLOCK) * numpy.int32(high) + cell(y, ny) // BLOCK
            block[j] = line * numpy.int32(wide) + cell(x, nx) // BLOCK
        for j in range(T):
            far[j] = blocks[numpy.uint64(block[j])]
        for j in range(T):
            reach = numpy.float32(max(abs(far[j]), 1))
            x, y, z = walk[_X + j], walk[_Y + j], walk[_Z + j]
            across = min(_until(x, cell(x, nx), reach, g[PACE_X + j]), _until(y, cell(y, ny), reach, g[PACE_Y + j]))
            ahead = min(across, _until(z, cell(z, nz), reach, g[PACE_Z + j]))
            block[j] = number[j] + 1 + numpy.int32(min(max(ahead, ZERO), MANY))
        left = 0
        for j in range(T):
            end = min(block[j], counts[j])
            block[j] = end
            left += counts[j] - end
        for j in range(T):
            n = found[j]
            runs[j, n, 0], runs[j, n, 1], runs[j, n, 2] = number[j], block[j], far[j] == 0
            found[j] = n + (far[j] <= 0 and number[j] < counts[j])
        for j in range(T):
            number[j] = block[j]
        going = left > 0
