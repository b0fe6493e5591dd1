"""The fused ray march for CPUs, compiled by numba. Import it where it is used: numba takes a second.

A ray is drawn in packets of P samples. What arithmetic allows runs in loops of P over one scratch array, so that the
compiler turns them into vector instructions; only reading and adding at the grid's corners goes sample by sample.
Nothing of a sample outlives its ray: the backward pass draws the ray again. Every function is in this file, because
numba's cache does not see changes elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.vector_numba import P, compiled, exponential, log1p, mix, prefetch, spread

# Rows of a packet in the scratch array of floats: distance, inside; corner weights (four of z and y, two of x); raw
# density; optical depth of the sample, its derivative in the raw density's argument, its argument less the shift;
# light left after it, weight, weight if its colour counts, dL/d weight, a value that is needed at once.
AT, INSIDE, W00, W01, W10, W11, X0, X1, RAW, DEPTH, SLOPE, ARG, LEFT, WEIGHT, SHARE, TOLD, VALUE = (
    P * row for row in range(17)
)
# and in that of indices: the voxels where the four pairs of corners start, the sample's number
V00, V01, V10, V11, NUMBER = (P * row for row in range(5))
FLOATS, INDICES = 17 * P, 5 * P
SOON = 12
"""Samples ahead of which a corner's channels are asked for: the grid is larger than a core's cache."""
TILE = 32
"""Rays that a worker draws in one go, before it passes over those of the others: a tile of the picture."""

ZERO, QUARTER, HALF, ONE, ROUND_OFF = (numpy.float32(value) for value in (0, 0.25, 0.5, 1, 1e-4))
NEXT = numpy.uint64(1)
# single precision combined with double is double, and these are exact, save the last, a tolerance


@compiled(exact=True)
def _distance(start: Any, number: Any, size: Any, shift: Any) -> Any:
    """Rounded as `volume` rounds it, so that both have the same samples."""
    return start + (size * numpy.float32(number) + shift)


@compiled(exact=True)
def _count(chord: Any, size: Any, shift: Any, limit: int) -> int:
    """How many samples of a ray lie inside the box."""
    n = max(min(int((chord - shift) / size) - 1, limit), 0)
    while n < limit and size * numpy.float32(n) + shift < chord:
        n += 1
    while n > 0 and not (size * numpy.float32(n - 1) + shift < chord):
        n -= 1
    return n


@compiled(exact=True)
def _place(origin: Any, direction: Any, t: Any, low: Any, voxels: Any) -> Any:
    """Where a sample lies along one axis, in voxels of the grid with its shell: the same bits wherever it is asked."""
    return ((origin + direction * t) - low) * voxels + HALF


@compiled()
def _look(blocks: Any, t: Any, ray: Any, box: Any) -> int:
    """What a map of blocks of cells says of the place at distance t."""
    _, _, _, ox, oy, oz, dx, dy, dz = ray
    lx, ly, lz, vx, vy, vz, nx, ny, nz = box
    x, y, z = _place(ox, dx, t, lx, vx), _place(oy, dy, t, ly, vy), _place(oz, dz, t, lz, vz)
    bx = numpy.uint64(min(max(x, ZERO), nx) * QUARTER)
    by = numpy.uint64(min(max(y, ZERO), ny) * QUARTER)
    bz = numpy.uint64(min(max(z, ZERO), nz) * QUARTER)
    return blocks[bz, by, bx]


@compiled()
def _fill(s: Any, q: Any, first: int, count: int, a_block: Any, ray: Any, box: Any, blocks: Any) -> Any:
    """The next samples that are not in empty space: their distances. Returns how many, and where to go on."""
    start, size, shift = ray[:3]
    n, number = 0, first
    while number < count and n < P:
        t = _distance(start, number, size, shift)
        far = _look(blocks, t, ray, box)
        if far == 1:  # steps of one are guessed ahead; only others have to wait for the look
            number += 1
        elif far > 1:
            number += max(1, int(numpy.float32(far - 1) * a_block))
        else:
            s[AT + n] = t
            s[INSIDE + n] = ONE
            q[NUMBER + n] = number
            n += 1
            number += 1
            if far < 0:
                for _ in range(min(min(count - number, int(numpy.float32(-far) * a_block)), P - n)):
                    s[AT + n] = _distance(start, number, size, shift)
                    s[INSIDE + n] = ONE
                    q[NUMBER + n] = number
                    n += 1
                    number += 1
    for j in range(n, P):
        s[AT + j] = start
        s[INSIDE + j] = ZERO
    return n, number


@compiled()
def _axis(place: Any, n: Any) -> Any:
    """The two voxels next to a place along one axis: the lower, and the weights of both. The shell beyond is 0."""
    shifted = min(max(place, ZERO), n + ONE)
    low = min(numpy.floor(shifted), n)
    part = shifted - low
    first = part if low < ONE else (ZERO if low >= n else ONE - part)
    second = ZERO if low < ONE else (ONE - part if low >= n else part)
    return numpy.int32(min(max(low - ONE, ZERO), n - ONE - ONE)), first, second


@compiled()
def _corners(s: Any, q: Any, j: int) -> Any:
    """Where the pairs of a sample's eight corners start, and their weights."""
    a0, a1, w00, w01, w10, w11 = s[X0 + j], s[X1 + j], s[W00 + j], s[W01 + j], s[W10 + j], s[W11 + j]
    voxels = numpy.uint64(q[V00 + j]), numpy.uint64(q[V01 + j]), numpy.uint64(q[V10 + j]), numpy.uint64(q[V11 + j])
    return voxels, (w00 * a0, w00 * a1, w01 * a0, w01 * a1, w10 * a0, w10 * a1, w11 * a0, w11 * a1)


@compiled()
def _absorb(density: Any, s: Any, q: Any, n: int, ray: Any, box: Any, law: Any, tau: float) -> float:
    """Corners, raw density, optical depth and light left of a packet's samples; `tau` is the depth before and after."""
    _, size, _, ox, oy, oz, dx, dy, dz = ray
    lx, ly, lz, vx, vy, vz, nx, ny, nz = box
    scale, shift, empty = law
    row, layer = numpy.int32(nx), numpy.int32(nx) * numpy.int32(ny)
    for j in range(P):
        t = s[AT + j]
        px, py, pz = _place(ox, dx, t, lx, vx), _place(oy, dy, t, ly, vy), _place(oz, dz, t, lz, vz)
        x, x0, x1 = _axis(px, nx)
        y, y0, y1 = _axis(py, ny)
        z, z0, z1 = _axis(pz, nz)
        s[X0 + j] = x0
        s[X1 + j] = x1
        s[W00 + j] = z0 * y0
        s[W01 + j] = z0 * y1
        s[W10 + j] = z1 * y0
        s[W11 + j] = z1 * y1
        voxel = z * layer + y * row + x
        q[V00 + j] = voxel
        q[V01 + j] = voxel + row
        q[V10 + j] = voxel + layer
        q[V11 + j] = voxel + layer + row
        below, above = min(px, min(py, pz)), max(px - nx, max(py - ny, pz - nz))
        out = max(HALF - below, above - HALF)
        s[INSIDE + j] = ZERO if out > ROUND_OFF else s[INSIDE + j]
    for j in range(n):
        a, b, c, d = (
            numpy.uint64(q[V00 + j]),
            numpy.uint64(q[V01 + j]),
            numpy.uint64(q[V10 + j]),
            numpy.uint64(q[V11 + j]),
        )
        w, x, y, z = s[W00 + j], s[W01 + j], s[W10 + j], s[W11 + j]
        left = (w * density[a] + x * density[b]) + (y * density[c] + z * density[d])
        right = (w * density[a + NEXT] + x * density[b + NEXT]) + (y * density[c + NEXT] + z * density[d + NEXT])
        s[RAW + j] = s[X0 + j] * left + s[X1 + j] * right
    for j in range(n, P):
        s[RAW + j] = ZERO
    for j in range(P):
        argument = scale * s[RAW + j]
        x = argument + shift
        e = exponential(-abs(x))
        inside = s[INSIDE + j] * size
        inside = inside if s[RAW + j] >= empty else ZERO
        s[ARG + j] = argument
        s[DEPTH + j] = (max(x, ZERO) + log1p(e)) * inside
        s[SLOPE + j] = (ONE if x > ZERO else e) / (ONE + e) * inside
    for j in range(P):
        tau += s[DEPTH + j]
        s[VALUE + j] = -tau
    for j in range(P):
        s[LEFT + j] = exponential(s[VALUE + j])
    return tau


@compiled()
def _weigh(s: Any, before: Any, threshold: Any) -> Any:
    """Weights from the light left; SHARE is 0 where a sample is too faint to lend colour. Returns how many are not."""
    s[WEIGHT] = before - s[LEFT]
    for j in range(1, P):
        s[WEIGHT + j] = s[LEFT + j - 1] - s[LEFT + j]
    seen = 0
    for j in range(P):
        w = s[WEIGHT + j]
        bright = w > threshold
        s[SHARE + j] = w if bright else ZERO
        seen += 1 if bright else 0
    return seen


@compiled()
def _soon(grid: Any, q: Any, j: int, channels: Any) -> None:
    prefetch(grid, numpy.uint64(q[V00 + j]), channels)
    prefetch(grid, numpy.uint64(q[V01 + j]), channels)
    prefetch(grid, numpy.uint64(q[V10 + j]), channels)
    prefetch(grid, numpy.uint64(q[V11 + j]), channels)


@compiled()
def _colours(features: Any, s: Any, q: Any, v: Any, n: int, channels: Any, sigmoid: bool) -> None:
    """v (C, P): the activated channels of the samples that are seen, 0 or one half for the others."""
    for c in range(v.shape[0]):
        row = v[c]
        for j in range(P):
            row[j] = ZERO
    for j in range(n):
        if s[SHARE + j] > ZERO:
            _soon(features, q, min(j + SOON, n - 1), channels)
            voxels, weights = _corners(s, q, j)
            mix(features, voxels, weights, channels, v, numpy.uint64(j))
    if sigmoid:
        for c in range(len(channels)):
            row = v[c]
            for j in range(P):
                x = row[j]
                u = exponential(-abs(x))
                row[j] = (ONE if x > ZERO else u) / (ONE + u)


@compiled()
def _spread(grid: Any, s: Any, q: Any, v: Any, n: int, channels: Any) -> None:
    """The transpose: add v (C, P), gradients of the seen samples' channels, to their corners."""
    for j in range(n):
        if s[SHARE + j] > ZERO:
            _soon(grid, q, min(j + SOON, n - 1), channels)
            voxels, weights = _corners(s, q, j)
            spread(grid, voxels, weights, channels, v, numpy.uint64(j))


@compiled()
def forward(
    density: Any,
    features: Any,
    origins: Any,
    directions: Any,
    spans: Any,
    starts: Any,
    box: Any,
    law: Any,
    blocks: Any,
    limits: Any,
    channels: Any,
    sigmoid: bool,
    order: Any,
    worker: int,
    workers: int,
    colour: Any,
    opacity: Any,
    distance: Any,
    weights: Any,
) -> None:
    """Draw this worker's tiles of rays: colour (R, C), opacity (R,), distance (R,), weights (R, S) or (0, 0).

    density (Z Y X), features (Z Y X C): flat. spans (R, 2): distance to the box, chord. starts (R,): shifts of the first
    samples. box: its low corner, voxels a world unit, voxels. law: raw density's scale, shift and empty level. blocks: see
    `blocks.look_ahead`. limits: step, least weight that lends colour, least light, most samples a ray, samples along
    one block at least. channels: C zeros, for their number is compiled in. order (R,): the rays, tile by tile.
    """
    size, threshold, least, most, a_block = limits
    s = numpy.empty(FLOATS, density.dtype)
    q = numpy.zeros(INDICES, numpy.uint32)
    v = numpy.zeros((len(channels), P), density.dtype)
    for tile in range(worker * TILE, len(origins), workers * TILE):
        for r in order[tile : tile + TILE]:
            start, shift = spans[r, 0], starts[r]
            ray = (start, size, shift, *_three(origins, r), *_three(directions, r))
            count = _count(spans[r, 1], size, shift, most)
            tau, left, number = 0.0, ONE * size / size, 0
            total, far = 0.0, 0.0
            while number < count and left > least:
                n, number = _fill(s, q, number, count, a_block, ray, box, blocks)
                if n == 0:
                    break
                tau = _absorb(density, s, q, n, ray, box, law, tau)
                seen = _weigh(s, left, threshold)
                left = s[LEFT + P - 1]
                weight, way = ZERO * left, ZERO * left
                for j in range(P):
                    weight += s[WEIGHT + j]
                    way += s[WEIGHT + j] * s[AT + j]
                total += weight
                far += way
                if weights.shape[0] > 0:
                    for j in range(n):
                        weights[r, q[NUMBER + j]] = s[WEIGHT + j]
                if seen > 0:
                    _colours(features, s, q, v, n, channels, sigmoid)
                    for c in range(len(channels)):
                        value, row = ZERO * left, v[c]
                        for j in range(P):
                            value += s[SHARE + j] * row[j]
                        colour[r, c] += value
            opacity[r] = total
            distance[r] = far


@compiled()
def _three(rows: Any, r: int) -> Any:
    return rows[r, 0], rows[r, 1], rows[r, 2]


@compiled()
def backward(
    density: Any,
    features: Any,
    origins: Any,
    directions: Any,
    spans: Any,
    starts: Any,
    box: Any,
    law: Any,
    blocks: Any,
    limits: Any,
    channels: Any,
    sigmoid: bool,
    order: Any,
    worker: int,
    workers: int,
    told_colour: Any,
    told_opacity: Any,
    told_distance: Any,
    told_weights: Any,
    to_density: Any,
    to_features: Any,
) -> float:
    """Add dL/d density and dL/d features of this worker's rays to flat grids; returns dL/d log_scale.

    With v the gradient that falls on a sample's weight, T the light left after it and x its optical depth,
    dL/dx_j = T_j v_j - sum over i > j of w_i v_i: a ray is drawn forwards, then walked back.
    """
    size, threshold, least, most, a_block = limits
    scale, _, _ = law
    longest = 0
    for tile in range(worker * TILE, len(origins), workers * TILE):
        for r in order[tile : tile + TILE]:
            longest = max(longest, _count(spans[r, 1], size, starts[r], most))
    packets = longest // P + 1
    floats = numpy.empty((packets, FLOATS), density.dtype)
    indices = numpy.zeros((packets, INDICES), numpy.uint32)
    held = numpy.zeros(packets, numpy.int64)
    v = numpy.zeros((len(channels), P), density.dtype)
    to_scale = 0.0
    for tile in range(worker * TILE, len(origins), workers * TILE):
        for r in order[tile : tile + TILE]:
            start, shift = spans[r, 0], starts[r]
            ray = (start, size, shift, *_three(origins, r), *_three(directions, r))
            count = _count(spans[r, 1], size, shift, most)
            tau, left, number, used = 0.0, ONE * size / size, 0, 0
            while number < count and left > least:
                s, q = floats[used], indices[used]
                n, number = _fill(s, q, number, count, a_block, ray, box, blocks)
                if n == 0:
                    break
                held[used] = n
                used += 1
                tau = _absorb(density, s, q, n, ray, box, law, tau)
                seen = _weigh(s, left, threshold)
                left = s[LEFT + P - 1]
                for j in range(P):
                    s[TOLD + j] = told_opacity[r] + told_distance[r] * s[AT + j]
                if told_weights.shape[0] > 0:
                    for j in range(n):
                        s[TOLD + j] += told_weights[r, q[NUMBER + j]]
                if seen > 0:
                    _colours(features, s, q, v, n, channels, sigmoid)
                    for c in range(len(channels)):
                        told, row = told_colour[r, c], v[c]
                        for j in range(P):
                            value, share = row[j], s[SHARE + j]
                            slope = value * (ONE - value) if sigmoid else ONE
                            s[TOLD + j] += told * value if share > ZERO else ZERO
                            row[j] = told * share * slope
                    _spread(to_features, s, q, v, n, channels)
            behind = 0.0
            for packet in range(used - 1, -1, -1):
                s, q = floats[packet], indices[packet]
                for j in range(P - 1, -1, -1):
                    s[VALUE + j] = behind
                    behind += s[WEIGHT + j] * s[TOLD + j]
                part = ZERO * left
                for j in range(P):
                    slope = (s[LEFT + j] * s[TOLD + j] - s[VALUE + j]) * s[SLOPE + j]
                    part += slope * s[ARG + j]
                    s[VALUE + j] = slope * scale
                to_scale += part
                for j in range(held[packet]):
                    value = s[VALUE + j]
                    if value != ZERO:
                        (a, b, c, d), (w0, w1, w2, w3, w4, w5, w6, w7) = _corners(s, q, j)
                        to_density[a] += value * w0
                        to_density[a + NEXT] += value * w1
                        to_density[b] += value * w2
                        to_density[b + NEXT] += value * w3
                        to_density[c] += value * w4
                        to_density[c + NEXT] += value * w5
                        to_density[d] += value * w6
                        to_density[d + NEXT] += value * w7
    return to_scale
