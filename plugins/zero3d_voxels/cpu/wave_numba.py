"""Samples of a few rays, side by side: where they lie, what they absorb, and what is read and added at their corners.

Compiled by numba. What arithmetic allows runs in loops over a wave, so that the compiler turns them into vector
instructions however few samples a ray has; only reading and adding at the grid's corners goes sample by sample.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.cpu.rays_numba import (
    BLOCK,
    DX,
    DY,
    DZ,
    HALF,
    ONE,
    OX,
    OY,
    OZ,
    SHIFT,
    START,
    ZERO,
    T,
    cell,
    clamp,
    distance,
    place,
)
from zero3d_voxels.cpu.vector_numba import P, compiled, exponential, index, log1p, mix, prefetch, spread

K = P // T
"""Samples that a ray gives to a wave, at most."""
WHOLE = 8
"""Places of a ray's samples are computed so many at a time."""
LANES = 32
"""Loops over a wave run to the next multiple of this, whole vectors; P is one."""

# Rows of P numbers in a wave's scratch array of floats: distance; places along the axes, and then corner weights of z and
# y; two of x; argument of the density less the shift (first the raw density); optical depth of the sample, and then
# what follows of it; its derivative in the argument; light left after it, weight, weight if its colour counts, dL/d
# weight.
AT, W00, W01, W10, W11, X0, X1, ARG, DEPTH, SLOPE, LEFT, WEIGHT, SHARE, GRAD = (P * row for row in range(14))
PLACE_X, PLACE_Y, PLACE_Z = W00, W01, W10
# and in that of indices: the voxel of the lowest corner that is read (first the cell), the sample's number, its block
VOXEL, NUMBER, AREA = (P * row for row in range(3))
CELL = VOXEL
FLOATS, INDICES = 14 * P, 3 * P
SOON = 12
"""Samples ahead of which a corner's channels are asked for: the grid is larger than a core's cache."""

ROUND_OFF = numpy.float32(1e-4)
NEXT = numpy.uint64(1)
# single precision combined with double is double, and these are exact, save the first, a tolerance


@compiled()
def next_wave(
    s: Any, q: Any, g: Any, size: Any, box: Any, maps: Any, runs: Any, found: Any, state: Any, least: Any, bounds: Any
) -> int:
    """Collect the next samples of each ray that has light left; those of ray r are bounds[r] to before bounds[r + 1].

    state: (run, sample) of each ray (2, T), and its light left (T,). Returns how many samples there are.
    """
    lx, ly, lz, vx, vy, vz, nx, ny, nz = box
    _, _, cells, (row, high) = maps
    row, layer = numpy.int32(8 * row), numpy.int32(8 * row * high)  # in cells
    (run_of, number_of), left = state
    n = 0
    for r in range(T):
        bounds[r] = n
        run, number = run_of[r], number_of[r]
        if run >= found[r] or not left[r] > least:
            continue
        start, shift = g[START + r], g[SHIFT + r]
        ox, oy, oz, dx, dy, dz = g[OX + r], g[OY + r], g[OZ + r], g[DX + r], g[DY + r], g[DZ + r]
        stop = n + K
        while n < stop and run < found[r]:
            many, asked = 0, 0
            while many < stop - n and run < found[r]:
                number, end = max(number, runs[r, run, 0]), runs[r, run, 1]
                more = min(end - number, stop - n - many)
                for k in range(more):
                    q[index(NUMBER + n + many + k)] = number + k
                asked |= runs[r, run, 2]
                many += more
                number += more
                run += number == end
            whole = min((many + WHOLE - 1) // WHOLE * WHOLE, P - n)  # what follows is overwritten, by the next ray's
            for j in range(n, n + whole):
                t = distance(start, q[index(NUMBER + j)], size, shift)
                s[index(AT + j)] = t
                s[index(PLACE_X + j)] = place(ox, dx, t, lx, vx)
                s[index(PLACE_Y + j)] = place(oy, dy, t, ly, vy)
                s[index(PLACE_Z + j)] = place(oz, dz, t, lz, vz)
            if asked:
                for j in range(n, n + whole):
                    x, y, z = s[index(PLACE_X + j)], s[index(PLACE_Y + j)], s[index(PLACE_Z + j)]
                    q[index(CELL + j)] = cell(z, nz) * layer + cell(y, ny) * row + cell(x, nx)
                kept = 0
                for j in range(n, n + many):
                    i = n + kept  # an empty cell's sample is overwritten by the next
                    q[index(NUMBER + i)] = q[index(NUMBER + j)]
                    s[index(AT + i)] = s[index(AT + j)]
                    s[index(PLACE_X + i)] = s[index(PLACE_X + j)]
                    s[index(PLACE_Y + i)] = s[index(PLACE_Y + j)]
                    s[index(PLACE_Z + i)] = s[index(PLACE_Z + j)]
                    bit = q[index(CELL + j)]
                    kept += cells[index(bit >> 3)] >> (bit & 7) & 1
                many = kept
            n += many
        run_of[r], number_of[r] = run, number
    bounds[T] = n
    return n


@compiled()
def _axis(at: Any, n: Any) -> Any:
    """The two voxels next to a place along one axis: the lower, and the weights of both. The shell beyond is 0."""
    shifted = clamp(at, n + ONE)
    low = min(numpy.floor(shifted), n)
    part = shifted - low
    first = part if low < ONE else (ZERO if low >= n else ONE - part)
    second = ZERO if low < ONE else (ONE - part if low >= n else part)
    return numpy.int32(clamp(low - ONE, n - ONE - ONE)), first, second


@compiled()
def _corners(s: Any, q: Any, j: int, steps: Any) -> Any:
    """Where the pairs of a sample's eight corners start, and their weights."""
    row, layer = steps
    a0, a1, w00, w01, w10, w11 = s[X0 + j], s[X1 + j], s[W00 + j], s[W01 + j], s[W10 + j], s[W11 + j]
    low = numpy.uint64(q[VOXEL + j])
    voxels = low, low + row, low + layer, low + layer + row
    return voxels, (w00 * a0, w00 * a1, w01 * a0, w01 * a1, w10 * a0, w10 * a1, w11 * a0, w11 * a1)


@compiled()
def _soon(grid: Any, q: Any, j: int, channels: Any, steps: Any) -> None:
    row, layer = steps
    low = numpy.uint64(q[VOXEL + j])
    prefetch(grid, low, channels)
    prefetch(grid, low + row, channels)
    prefetch(grid, low + layer, channels)
    prefetch(grid, low + layer + row, channels)


@compiled()
def absorb(density: Any, s: Any, q: Any, n: int, box: Any, blocks: Any, law: Any) -> int:
    """Corners, argument, optical depth and its slope of a wave's samples. Returns the lanes that loops over it run to."""
    _, _, _, _, _, _, nx, ny, nz = box
    scale, shift, empty, thickness = law
    wide, high = blocks
    row, layer = numpy.int32(nx), numpy.int32(nx) * numpy.int32(ny)
    lanes = (n + LANES - 1) // LANES * LANES
    for j in range(lanes):
        px, py, pz = s[PLACE_X + j], s[PLACE_Y + j], s[PLACE_Z + j]
        x, x0, x1 = _axis(px, nx)
        y, y0, y1 = _axis(py, ny)
        z, z0, z1 = _axis(pz, nz)
        s[X0 + j], s[X1 + j] = x0, x1
        s[W00 + j], s[W01 + j], s[W10 + j], s[W11 + j] = z0 * y0, z0 * y1, z1 * y0, z1 * y1
        q[VOXEL + j] = z * layer + y * row + x
        line = cell(pz, nz) // BLOCK * numpy.int32(high) + cell(py, ny) // BLOCK
        q[AREA + j] = line * numpy.int32(wide) + cell(px, nx) // BLOCK
        below, above = min(px, min(py, pz)), max(px - nx, max(py - ny, pz - nz))
        out = max(HALF - below, above - HALF)
        s[DEPTH + j] = ZERO if out > ROUND_OFF else thickness
    steps = numpy.uint64(row), numpy.uint64(layer)
    for j in range(n):
        _soon(density, q, min(j + SOON, n - 1), (0,), steps)
        (a, b, c, d), _ = _corners(s, q, j, steps)
        w, x, y, z = s[W00 + j], s[W01 + j], s[W10 + j], s[W11 + j]
        left = (w * density[a] + x * density[b]) + (y * density[c] + z * density[d])
        right = (w * density[a + NEXT] + x * density[b + NEXT]) + (y * density[c + NEXT] + z * density[d + NEXT])
        s[ARG + j] = s[X0 + j] * left + s[X1 + j] * right
    for j in range(lanes):
        raw = s[ARG + j]
        argument = scale * raw
        x = argument + shift
        e = exponential(-abs(x))
        inside = ZERO if raw < empty else s[DEPTH + j]  # NaN is not empty: it is seen
        s[ARG + j] = argument
        s[DEPTH + j] = (max(x, ZERO) + log1p(e)) * inside
        s[SLOPE + j] = (ONE if x > ZERO else e) / (ONE + e) * inside
    return lanes


@compiled()
def weigh(s: Any, lanes: int, bounds: Any, tau: Any, left: Any, threshold: Any) -> int:
    """Light left and weights; SHARE is 0 where a sample is too faint to lend colour. Returns how many are not.

    tau, left (T,): optical depth and light left of each ray, before and after.
    """
    for r in range(T):
        thick = tau[r]
        for j in range(bounds[r], bounds[r + 1]):
            thick += s[DEPTH + j]
            s[DEPTH + j] = -thick
        tau[r] = thick
    for j in range(lanes):
        s[LEFT + j] = exponential(s[DEPTH + j])
    s[WEIGHT] = ZERO
    for j in range(1, lanes):
        s[WEIGHT + j] = s[LEFT + j - 1] - s[LEFT + j]
    for r in range(T):
        if bounds[r + 1] > bounds[r]:
            s[WEIGHT + bounds[r]] = left[r] - s[LEFT + bounds[r]]
            left[r] = s[LEFT + bounds[r + 1] - 1]
    for j in range(bounds[T], lanes):
        s[WEIGHT + j] = ZERO
    seen = 0
    for j in range(lanes):
        w = s[WEIGHT + j]
        bright = w > threshold
        s[SHARE + j] = w if bright else ZERO
        seen += 1 if bright else 0
    return seen


@compiled()
def read_colours(
    features: Any, s: Any, q: Any, v: Any, n: int, lanes: int, channels: Any, sigmoid: bool, steps: Any
) -> None:
    """v (C, P): the activated channels of the samples that are seen, 0 or one half for the others."""
    for c in range(v.shape[0]):
        row = v[c]
        for j in range(lanes):
            row[j] = ZERO
    for j in range(n):
        if s[SHARE + j] > ZERO:
            _soon(features, q, min(j + SOON, n - 1), channels, steps)
            voxels, weights = _corners(s, q, j, steps)
            mix(features, voxels, weights, channels, v, numpy.uint64(j))
    if sigmoid:
        for c in range(len(channels)):
            row = v[c]
            for j in range(lanes):
                x = row[j]
                u = exponential(-abs(x))
                row[j] = (ONE if x > ZERO else u) / (ONE + u)


@compiled()
def spread_colours(grid: Any, s: Any, q: Any, v: Any, n: int, channels: Any, steps: Any, touched: Any) -> None:
    """The transpose: add v (C, P), gradients of the seen samples' channels, to their corners; mark the samples' blocks."""
    for j in range(n):
        if s[SHARE + j] > ZERO:
            _soon(grid, q, min(j + SOON, n - 1), channels, steps)
            voxels, weights = _corners(s, q, j, steps)
            spread(grid, voxels, weights, channels, v, numpy.uint64(j))
            touched[index(q[AREA + j])] = 1


@compiled()
def spread_densities(grid: Any, s: Any, q: Any, n: int, steps: Any, touched: Any) -> None:
    """Add DEPTH, what falls on the samples' raw density, to their corners; mark the samples' blocks."""
    for j in range(n):
        value = s[DEPTH + j]
        _soon(grid, q, min(j + SOON, n - 1), (0,), steps)
        if value != ZERO:
            (a, b, c, d), (w0, w1, w2, w3, w4, w5, w6, w7) = _corners(s, q, j, steps)
            grid[a] += value * w0
            grid[a + NEXT] += value * w1
            grid[b] += value * w2
            grid[b + NEXT] += value * w3
            grid[c] += value * w4
            grid[c + NEXT] += value * w5
            grid[d] += value * w6
            grid[d + NEXT] += value * w7
            touched[index(q[AREA + j])] = 1


@compiled()
def strides(box: Any) -> Any:
    """From one voxel to the next along y and along z, in the flat grid."""
    nx, ny = box[6], box[7]
    return numpy.uint64(numpy.int64(nx)), numpy.uint64(numpy.int64(nx) * numpy.int64(ny))
