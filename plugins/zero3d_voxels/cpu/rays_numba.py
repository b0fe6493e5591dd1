"""Where rays pass a voxel field: places along them, and the stretches that are not empty; compiled by numba."""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.cpu.blocks import BLOCK
from zero3d_voxels.cpu.vector_numba import compiled, index

T = 16
"""Rays that are drawn together: what one of them waits for, another computes."""
SLACK = numpy.float32(0.05)
"""Cells that are not counted on when samples are passed over: far more than places are rounded by."""
SLOW, MANY = numpy.float32(1e-9), numpy.float32(1 << 20)

# Rows of T numbers that describe rays: distance to the box, shift of the first sample; origin; direction; samples that one
# voxel's side along each axis takes, of the direction's sign.
START, SHIFT, OX, OY, OZ, DX, DY, DZ, PACE_X, PACE_Y, PACE_Z = (T * row for row in range(11))
RAY_FLOATS = 11 * T
# And of where they are on their way through the blocks: place, block, sample, the sample after the stretch, how far the
# block allows to look. Whole numbers too, for vectors of one kind.
_X, _Y, _Z, _BX, _BY, _BZ, _NUMBER, _NEXT, _FAR = (T * row for row in range(9))
WALK_FLOATS = 9 * T

ZERO, HALF, ONE = (numpy.float32(value) for value in (0, 0.5, 1))
_BLOCK, _PART = numpy.float32(BLOCK), numpy.float32(1 / BLOCK)


@compiled(exact=True)
def distance(start: Any, number: Any, size: Any, shift: Any) -> Any:
    """Rounded as `volume` rounds it, so that both have the same samples."""
    return start + (size * numpy.float32(number) + shift)


@compiled()
def clamp(x: Any, most: Any) -> Any:
    """x, but 0 at least and `most` at most; 0 for NaN, so that no index made of it leaves its array.

    The order of each comparison decides that; either is one instruction.
    """
    positive = x if x > ZERO else ZERO
    return positive if positive < most else most


@compiled(exact=True)
def count_samples(chord: Any, size: Any, shift: Any, limit: int) -> int:
    """How many samples of a ray lie inside the box; none if the chord is NaN."""
    n = max(int(clamp((chord - shift) / size, numpy.float32(limit))) - 1, 0)
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
    return numpy.int32(clamp(at, n))


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
def _block(at: Any, n: Any) -> Any:
    """The block that a place lies in along one axis."""
    return numpy.floor(clamp(at, n) * _PART)


@compiled()
def _until(at: Any, block: Any, reach: Any, pace: Any) -> Any:
    """Samples until a ray leaves the blocks less than `reach` from its own, along one axis; too few rather than more."""
    edge = (block + reach) * _BLOCK - SLACK if pace > ZERO else (block - reach + ONE) * _BLOCK + SLACK
    return (edge - at) * pace


@compiled()
def traverse(g: Any, counts: Any, size: Any, box: Any, maps: Any, walk: Any, block: Any, runs: Any, found: Any) -> bool:
    """runs (T, N, 3): the stretches of each ray that are not in empty blocks, and `found`, how many. Did all fit in?

    A stretch is its first sample, the one after its last, and 1 if cells must be asked one by one; of a ray there are no
    more than its samples. walk: WALK_FLOATS, and block (T,): integers, for what is on the way.
    """
    lx, ly, lz, vx, vy, vz, nx, ny, nz = box
    blocks, (wide, high), _, _ = maps
    for j in range(T):
        walk[_NUMBER + j] = ZERO
        found[j] = 0
    left = ONE
    while left > ZERO:
        for j in range(T):
            t = distance(g[START + j], walk[_NUMBER + j], size, g[SHIFT + j])
            x = place(g[OX + j], g[DX + j], t, lx, vx)
            y = place(g[OY + j], g[DY + j], t, ly, vy)
            z = place(g[OZ + j], g[DZ + j], t, lz, vz)
            walk[_X + j], walk[_Y + j], walk[_Z + j] = x, y, z
            bx, by, bz = _block(x, nx), _block(y, ny), _block(z, nz)
            walk[_BX + j], walk[_BY + j], walk[_BZ + j] = bx, by, bz
            line = numpy.int32(numpy.int32(bz) * numpy.int32(high)) + numpy.int32(by)
            block[j] = numpy.int32(line * numpy.int32(wide)) + numpy.int32(bx)
        filled = 0
        for j in range(T):
            far = blocks[index(block[j])]
            walk[_FAR + j] = far
            filled += far <= 0
        left = ZERO
        for j in range(T):
            reach = max(abs(walk[_FAR + j]), ONE)
            across = min(
                _until(walk[_X + j], walk[_BX + j], reach, g[PACE_X + j]),
                _until(walk[_Y + j], walk[_BY + j], reach, g[PACE_Y + j]),
            )
            ahead = min(across, _until(walk[_Z + j], walk[_BZ + j], reach, g[PACE_Z + j]))
            end = min(walk[_NUMBER + j] + ONE + numpy.floor(clamp(ahead, MANY)), numpy.float32(counts[j]))
            walk[_NEXT + j] = end
            left += numpy.float32(counts[j]) - end
        if filled:
            for j in range(T):
                number, end, n = numpy.int32(walk[_NUMBER + j]), numpy.int32(walk[_NEXT + j]), found[j]
                if walk[_FAR + j] <= ZERO and number < end:
                    asked = numpy.int32(walk[_FAR + j] == ZERO)
                    if n > 0 and runs[j, n - 1, 1] == number and runs[j, n - 1, 2] == asked:
                        runs[j, n - 1, 1] = end
                    elif n < runs.shape[1]:
                        runs[j, n, 0], runs[j, n, 1], runs[j, n, 2] = number, end, asked
                        found[j] = n + 1
                    else:
                        return False
        for j in range(T):
            walk[_NUMBER + j] = walk[_NEXT + j]
    return True
