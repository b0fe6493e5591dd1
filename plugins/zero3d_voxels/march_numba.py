"""The fused ray march for CPUs, compiled by numba. Import it where it is used: numba takes a second.

A ray is drawn in packets of P samples. What arithmetic allows runs in loops of P over one scratch array, so that the
compiler turns them into vector instructions; only reading and adding at the grid's corners goes sample by sample.
Nothing of a sample outlives its ray: the backward pass draws the ray again. Every function is in this file, because
numba's cache does not see changes elsewhere.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.vector_numba import LANES, P, compiled, exponential, log1p, mix4, spread4

# Rows of a packet in the scratch array of floats: distance, inside; corner weights (four of z and y, two of x); raw
# density; optical depth of the sample, its derivative in the raw density's argument, its argument less the shift;
# light left after it, weight, weight if its colour counts, dL/d weight, a value that is needed at once.
AT, INSIDE, W00, W01, W10, W11, X0, X1, RAW, DEPTH, SLOPE, ARG, LEFT, WEIGHT, SHARE, TOLD, VALUE = (
    P * row for row in range(17)
)
FLOATS = 17 * P
# and in that of indices: where the corners lie among the bricks (four of z and y, two of x), the sample's number
R00, R01, R10, R11, C0, C1, NUMBER = (P * row for row in range(7))
INDICES = 7 * P
TILE = 32
"""Rays that a worker draws in one go, before it passes over those of the others: a tile of the picture."""

ZERO, QUARTER, HALF, ONE, ROUND_OFF = (numpy.float32(value) for value in (0, 0.25, 0.5, 1, 1e-4))
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
def _fill(s: Any, q: Any, first: int, count: int, group: int, ray: Any, box: Any, filled: Any, near: Any) -> Any:
    """The next samples that are not in empty space: their distances. Returns how many, and where to go on."""
    start, size, shift = ray[:3]
    n, number = 0, first
    half = numpy.float32(0.5 * (group - 1))
    while number < count and n < P:
        group_start = number - number % group
        last = min(count, group_start + group)
        state = _look(near, start + shift + size * (numpy.float32(group_start) + half), ray, box)
        if state == 0:
            number = last
        while number < last and n < P:
            t = _distance(start, number, size, shift)
            if state == 2 or _look(filled, t, ray, box) != 0:
                s[AT + n] = t
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
    """The voxel below a place along one axis, counted with the shell, the one above, and that one's weight."""
    shifted = min(max(place, ZERO), n + ONE)
    low = min(numpy.floor(shifted), n)
    return numpy.int32(low), numpy.int32(low + ONE), shifted - low


@compiled()
def _corners(s: Any, q: Any, j: int) -> Any:
    """Where a sample's eight corners lie, and their weights."""
    c0, c1 = numpy.uint64(q[C0 + j]), numpy.uint64(q[C1 + j])
    r00, r01, r10, r11 = q[R00 + j], q[R01 + j], q[R10 + j], q[R11 + j]
    a0, a1, w00, w01, w10, w11 = s[X0 + j], s[X1 + j], s[W00 + j], s[W01 + j], s[W10 + j], s[W11 + j]
    places = r00 + c0, r00 + c1, r01 + c0, r01 + c1, r10 + c0, r10 + c1, r11 + c0, r11 + c1
    return places, (w00 * a0, w00 * a1, w01 * a0, w01 * a1, w10 * a0, w10 * a1, w11 * a0, w11 * a1)


@compiled()
def _absorb(density: Any, s: Any, q: Any, n: int, ray: Any, box: Any, brick: Any, law: Any, tau: float) -> float:
    """Corners, raw density, optical depth and light left of a packet's samples; `tau` is the depth before and after."""
    _, size, _, ox, oy, oz, dx, dy, dz = ray
    lx, ly, lz, vx, vy, vz, nx, ny, nz = box
    scale, shift = law
    layer, row = numpy.int32(brick[0]), numpy.int32(brick[1])
    for j in range(P):
        t = s[AT + j]
        px, py, pz = _place(ox, dx, t, lx, vx), _place(oy, dy, t, ly, vy), _place(oz, dz, t, lz, vz)
        x0, x1, a = _axis(px, nx)
        y0, y1, b = _axis(py, ny)
        z0, z1, c = _axis(pz, nz)
        s[X0 + j] = ONE - a
        s[X1 + j] = a
        s[W00 + j] = (ONE - c) * (ONE - b)
        s[W01 + j] = (ONE - c) * b
        s[W10 + j] = c * (ONE - b)
        s[W11 + j] = c * b
        r0, r1 = (y0 >> 2) * row + ((y0 & 3) << 2), (y1 >> 2) * row + ((y1 & 3) << 2)
        l0, l1 = (z0 >> 2) * layer + ((z0 & 3) << 4), (z1 >> 2) * layer + ((z1 & 3) << 4)
        q[C0 + j] = ((x0 >> 2) << 6) + (x0 & 3)
        q[C1 + j] = ((x1 >> 2) << 6) + (x1 & 3)
        q[R00 + j] = l0 + r0
        q[R01 + j] = l0 + r1
        q[R10 + j] = l1 + r0
        q[R11 + j] = l1 + r1
        below, above = min(px, min(py, pz)), max(px - nx, max(py - ny, pz - nz))
        out = max(HALF - below, above - HALF)
        s[INSIDE + j] = ZERO if out > ROUND_OFF else s[INSIDE + j]
    for j in range(n):
        (i0, i1, i2, i3, i4, i5, i6, i7), (w0, w1, w2, w3, w4, w5, w6, w7) = _corners(s, q, j)
        front = (w0 * density[i0] + w1 * density[i1]) + (w2 * density[i2] + w3 * density[i3])
        s[RAW + j] = front + ((w4 * density[i4] + w5 * density[i5]) + (w6 * density[i6] + w7 * density[i7]))
    for j in range(n, P):
        s[RAW + j] = ZERO
    for j in range(P):
        argument = scale * s[RAW + j]
        x = argument + shift
        e = exponential(-abs(x))
        inside = s[INSIDE + j] * size
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
def _scaled(places: Any, by: Any, plus: Any) -> Any:
    i0, i1, i2, i3, i4, i5, i6, i7 = places
    front = i0 * by + plus, i1 * by + plus, i2 * by + plus, i3 * by + plus
    return front + (i4 * by + plus, i5 * by + plus, i6 * by + plus, i7 * by + plus)


@compiled()
def _colours(features: Any, s: Any, q: Any, v: Any, n: int, lanes: Any, channels: int, sigmoid: bool) -> None:
    """v (lanes, P): the activated channels of the samples that are seen, 0 or one half for the others."""
    for c in range(v.shape[0]):
        row = v[c]
        for j in range(P):
            row[j] = ZERO
    for j in range(n):
        if s[SHARE + j] > ZERO:
            places, weights = _corners(s, q, j)
            for c in range(numpy.uint64(0), lanes, numpy.uint64(LANES)):
                mix4(features, _scaled(places, lanes, c), weights, v, c * numpy.uint64(P) + numpy.uint64(j))
    if sigmoid:
        for c in range(channels):
            row = v[c]
            for j in range(P):
                x = row[j]
                u = exponential(-abs(x))
                row[j] = (ONE if x > ZERO else u) / (ONE + u)


@compiled()
def _spread(grid: Any, s: Any, q: Any, v: Any, n: int, lanes: Any) -> None:
    """The transpose: add v (lanes, P), gradients of the seen samples' channels, to their corners."""
    for j in range(n):
        if s[SHARE + j] > ZERO:
            places, weights = _corners(s, q, j)
            for c in range(numpy.uint64(0), lanes, numpy.uint64(LANES)):
                spread4(grid, _scaled(places, lanes, c), weights, v, c * numpy.uint64(P) + numpy.uint64(j))


@compiled()
def forward(
    density: Any,
    features: Any,
    origins: Any,
    directions: Any,
    spans: Any,
    starts: Any,
    box: Any,
    brick: Any,
    law: Any,
    filled: Any,
    near: Any,
    limits: Any,
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

    density, features: flat bricks. spans (R, 2): distance to the box, chord. starts (R,): shifts of the first samples.
    box: its low corner, voxels a world unit, voxels. brick: indices from one layer of bricks to the next, and from one
    row. law: scale and shift of raw density. filled, near: see `occupancy`. limits: step, least weight that lends
    colour, least light, most samples a ray, samples a look. order (R,): the rays, tile by tile.
    """
    size, threshold, least, most, group = limits
    s = numpy.empty(FLOATS, density.dtype)
    q = numpy.zeros(INDICES, numpy.uint32)
    channels = colour.shape[1]
    lanes = numpy.uint64(len(features) // len(density))
    v = numpy.zeros((lanes, P), density.dtype)
    for tile in range(worker * TILE, len(origins), workers * TILE):
        for r in order[tile : tile + TILE]:
            start, shift = spans[r, 0], starts[r]
            ray = (start, size, shift, *_three(origins, r), *_three(directions, r))
            count = _count(spans[r, 1], size, shift, most)
            tau, left, number = 0.0, ONE * size / size, 0
            total, far = 0.0, 0.0
            while number < count and left > least:
                n, number = _fill(s, q, number, count, group, ray, box, filled, near)
                if n == 0:
                    break
                tau = _absorb(density, s, q, n, ray, box, brick, law, tau)
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
                    _colours(features, s, q, v, n, lanes, channels, sigmoid)
                    for c in range(channels):
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
    brick: Any,
    law: Any,
    filled: Any,
    near: Any,
    limits: Any,
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
    size, threshold, least, most, group = limits
    scale, _ = law
    longest = 0
    for tile in range(worker * TILE, len(origins), workers * TILE):
        for r in order[tile : tile + TILE]:
            longest = max(longest, _count(spans[r, 1], size, starts[r], most))
    packets = longest // P + 1
    floats = numpy.empty((packets, FLOATS), density.dtype)
    indices = numpy.zeros((packets, INDICES), numpy.uint32)
    held = numpy.zeros(packets, numpy.int64)
    channels = told_colour.shape[1]
    lanes = numpy.uint64(len(features) // len(density))
    v = numpy.zeros((lanes, P), density.dtype)
    to_scale = 0.0
    for tile in range(worker * TILE, len(origins), workers * TILE):
        for r in order[tile : tile + TILE]:
            start, shift = spans[r, 0], starts[r]
            ray = (start, size, shift, *_three(origins, r), *_three(directions, r))
            count = _count(spans[r, 1], size, shift, most)
            tau, left, number, used = 0.0, ONE * size / size, 0, 0
            while number < count and left > least:
                s, q = floats[used], indices[used]
                n, number = _fill(s, q, number, count, group, ray, box, filled, near)
                if n == 0:
                    break
                held[used] = n
                used += 1
                tau = _absorb(density, s, q, n, ray, box, brick, law, tau)
                seen = _weigh(s, left, threshold)
                left = s[LEFT + P - 1]
                for j in range(P):
                    s[TOLD + j] = told_opacity[r] + told_distance[r] * s[AT + j]
                if told_weights.shape[0] > 0:
                    for j in range(n):
                        s[TOLD + j] += told_weights[r, q[NUMBER + j]]
                if seen > 0:
                    _colours(features, s, q, v, n, lanes, channels, sigmoid)
                    for c in range(channels):
                        told, row = told_colour[r, c], v[c]
                        for j in range(P):
                            value, share = row[j], s[SHARE + j]
                            slope = value * (ONE - value) if sigmoid else ONE
                            s[TOLD + j] += told * value if share > ZERO else ZERO
                            row[j] = told * share * slope
                    _spread(to_features, s, q, v, n, lanes)
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
                    (i0, i1, i2, i3, i4, i5, i6, i7), (w0, w1, w2, w3, w4, w5, w6, w7) = _corners(s, q, j)
                    value = s[VALUE + j]
                    to_density[i0] += value * w0
                    to_density[i1] += value * w1
                    to_density[i2] += value * w2
                    to_density[i3] += value * w3
                    to_density[i4] += value * w4
                    to_density[i5] += value * w5
                    to_density[i6] += value * w6
                    to_density[i7] += value * w7
    return to_scale
