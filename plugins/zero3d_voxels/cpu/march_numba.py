"""The fused ray march for CPUs, compiled by numba. Import it where it is used: numba takes a second.

T rays are drawn together, in waves: each gives up to K of its next samples, all of which lie one after the other in one
scratch array. Nothing of a sample outlives its rays: the backward pass draws them again.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.cpu.rays_numba import ONE, RAY_FLOATS, WALK_FLOATS, ZERO, T, aim, traverse
from zero3d_voxels.cpu.vector_numba import P, compiled, index
from zero3d_voxels.cpu.wave_numba import (
    ARG,
    AT,
    DEPTH,
    FLOATS,
    GRAD,
    INDICES,
    LEFT,
    NUMBER,
    SHARE,
    SLOPE,
    WEIGHT,
    K,
    absorb,
    next_wave,
    read_colours,
    spread_colours,
    spread_densities,
    strides,
    weigh,
)

TILE = 32
"""Rays that a worker draws in one go, before it passes over those of the others: a tile of the picture."""
KEPT = 12
"""So many stretches of a ray are kept for the backward pass; where any of T has more, they are sought again."""


def scratch_of(real: Any, channels: int, most: int, waves: int) -> Any:
    """What a kernel writes to on the way, for T rays and so many waves of theirs. (Making it there compiles slowly.)"""
    whole = numpy.int32
    paths = (
        numpy.empty(RAY_FLOATS, real),  # the rays
        numpy.empty(WALK_FLOATS, real),  # where they are, as their stretches are sought
        numpy.empty(T, whole),  # samples of each
        numpy.empty(T, whole),  # the block that they are at
        numpy.empty((T, most + 1, 3), whole),  # their stretches
        numpy.empty(T, whole),  # how many these are
        (numpy.empty((2, T), whole), numpy.empty(T, real)),  # stretch and sample to go on with, light left
        numpy.empty(T),  # optical depth so far
    )
    # what follows a wave's last sample is computed with, too, to no effect: numbers that take no time
    floats, indices = numpy.zeros((waves, FLOATS), real), numpy.empty((waves, INDICES), whole)
    return paths, (floats, indices, numpy.empty((waves, T + 1), numpy.int64), numpy.zeros((channels, P), real))


def stretches_of(rays: int) -> Any:
    """Where `forward` leaves the stretches of so many rays, T by T, and how many they are, -1 for too many to be kept."""
    packets = -(-rays // T)
    return numpy.empty((packets, T), numpy.int32), numpy.empty((packets, T, KEPT, 3), numpy.int32)


def most_waves(most: int) -> int:
    """Of T rays that have `most` samples each, and one that finds no more."""
    return most // K + 2


@compiled()
def set_out(
    origins: Any,
    directions: Any,
    spans: Any,
    starts: Any,
    box: Any,
    size: Any,
    most: int,
    rays: Any,
    maps: Any,
    paths: Any,
    kept: Any,
    packet: int,
    known: bool,
) -> Any:
    """Find the stretches that up to T rays have to draw, and how many these are; bring the rays to the first.

    kept: see `stretches_of`; they are read there if they are `known`, or else left there for the next time.
    """
    g, walk, counts, block, runs, found, (going, left), tau = paths
    many, stretches = kept
    for r in range(T):
        going[0, r] = going[1, r] = 0
        left[r] = 1
        tau[r] = 0
    aim(origins, directions, spans, starts, box, size, most, rays, g, counts)
    if known and many[packet, 0] >= 0:
        return stretches[packet], many[packet]
    if not known and len(many) > 0:
        runs, found = stretches[packet], many[packet]
    while not traverse(g, counts, size, box, maps, walk, block, runs, found):
        many[packet, 0] = -1  # the scratch has room for all
        _, _, _, _, runs, found, _, _ = paths
    return runs, found


@compiled()
def draw_wave(
    density: Any,
    features: Any,
    s: Any,
    q: Any,
    v: Any,
    ends: Any,
    box: Any,
    law: Any,
    maps: Any,
    limits: Any,
    paths: Any,
    runs: Any,
    found: Any,
    channels: Any,
    sigmoid: bool,
) -> Any:
    """The next samples of T rays with all that belongs to them, their colours in v: how many, and how many are bright."""
    size, threshold, least, _ = limits
    g, _, _, _, _, _, state, tau = paths
    n = next_wave(s, q, g, size, box, maps, runs, found, state, least, ends)
    seen = 0
    if n > 0:
        lanes = absorb(density, s, q, n, box, maps[1], law)
        seen = weigh(s, lanes, ends, tau, state[1], threshold)
        if seen > 0:
            read_colours(features, s, q, v, n, lanes, channels, sigmoid, strides(box))
    return n, seen


@compiled(outside=True)
def forward(
    density: Any,
    features: Any,
    origins: Any,
    directions: Any,
    spans: Any,
    starts: Any,
    box: Any,
    law: Any,
    maps: Any,
    limits: Any,
    channels: Any,
    sigmoid: bool,
    order: Any,
    scratch: Any,
    kept: Any,
    worker: int,
    workers: int,
    colour: Any,
    opacity: Any,
    distances: Any,
    weights: Any,
) -> None:
    """Draw this worker's tiles of rays: colour (R, C), opacity (R,), distances (R,), weights (R, S) or (0, 0).

    density (Z Y X), features (Z Y X C): flat. spans (R, 2): distance to the box, chord. starts (R,): shifts of the first
    samples. box: its low corner, voxels a world unit, voxels. law: raw density's scale, shift and empty level, and
    `March.thickness`. maps: of `blocks.Maps`, `ahead` with the blocks along x and y, and `cells` with the bytes along x
    and the rows along y, both flat. limits: step, least weight that lends colour, least light, most samples a ray.
    channels: C zeros, for their number is compiled in. order (R,): the rays, tile by tile. scratch: see `scratch_of`.
    kept: see `stretches_of`; if it is for 0 rays, nothing is kept.
    """
    size, threshold, _, most = limits
    paths, (floats, indices, bounds, v) = scratch
    s, q, ends = floats[0], indices[0], bounds[0]
    for tile in range(worker * TILE, len(order), workers * TILE):
        for first in range(tile, min(tile + TILE, len(order)), T):
            rays = order[first : min(first + T, len(order))]
            runs, found = set_out(
                origins, directions, spans, starts, box, size, most, rays, maps, paths, kept, first // T, False
            )
            while True:
                n, _ = draw_wave(
                    density, features, s, q, v, ends, box, law, maps, limits, paths, runs, found, channels, sigmoid
                )
                if n == 0:
                    break
                for r in range(len(rays)):
                    ray, begin, end = rays[r], ends[r], ends[r + 1]
                    total, far = ZERO * size, ZERO * size
                    for j in range(begin, end):
                        total += s[index(WEIGHT + j)]
                        far += s[index(WEIGHT + j)] * s[index(AT + j)]
                    opacity[ray] += total
                    distances[ray] += far
                    if weights.shape[0] > 0:
                        for j in range(begin, end):
                            weights[ray, q[index(NUMBER + j)]] = s[index(WEIGHT + j)]
                    if total > threshold:  # or none of its samples is bright
                        for c in range(len(channels)):
                            value, row = ZERO * size, v[c]
                            for j in range(begin, end):
                                value += s[index(SHARE + j)] * row[index(j)]
                            colour[ray, c] += value


@compiled(outside=True)
def backward(
    density: Any,
    features: Any,
    origins: Any,
    directions: Any,
    spans: Any,
    starts: Any,
    box: Any,
    law: Any,
    maps: Any,
    limits: Any,
    channels: Any,
    sigmoid: bool,
    order: Any,
    scratch: Any,
    kept: Any,
    worker: int,
    workers: int,
    grad_colour: Any,
    grad_opacity: Any,
    grad_distances: Any,
    grad_weights: Any,
    to_density: Any,
    to_features: Any,
    touched: Any,
) -> float:
    """Add dL/d density and dL/d features of this worker's rays to flat grids; returns dL/d log_scale.

    touched (2, blocks), bytes: set where samples added to the gradient of the density, and of the features, of their blocks.
    With v the gradient that falls on a sample's weight, T the light left after it and x its optical depth,
    dL/dx_j = T_j v_j - sum over i > j of w_i v_i: rays are drawn forwards, then walked back.
    """
    size, _, _, most = limits
    scale, _, _, _ = law
    steps = strides(box)
    paths, (floats, indices, bounds, v) = scratch
    to_scale = 0.0
    for tile in range(worker * TILE, len(order), workers * TILE):
        for first in range(tile, min(tile + TILE, len(order)), T):
            rays = order[first : min(first + T, len(order))]
            runs, found = set_out(
                origins, directions, spans, starts, box, size, most, rays, maps, paths, kept, first // T, True
            )
            used = 0
            while True:
                s, q, ends = floats[used], indices[used], bounds[used]
                n, seen = draw_wave(
                    density, features, s, q, v, ends, box, law, maps, limits, paths, runs, found, channels, sigmoid
                )
                if n == 0:
                    break
                used += 1
                for r in range(len(rays)):
                    ray, begin, end = rays[r], ends[r], ends[r + 1]
                    for j in range(begin, end):
                        s[index(GRAD + j)] = grad_opacity[ray] + grad_distances[ray] * s[index(AT + j)]
                    if grad_weights.shape[0] > 0:
                        for j in range(begin, end):
                            s[index(GRAD + j)] += grad_weights[ray, q[index(NUMBER + j)]]
                    bright = ZERO * size
                    for j in range(begin, end):
                        bright += s[index(SHARE + j)]
                    if bright > ZERO:
                        for c in range(len(channels)):
                            grad, row = grad_colour[ray, c], v[c]
                            for j in range(begin, end):
                                value, share = row[index(j)], s[index(SHARE + j)]
                                slope = value * (ONE - value) if sigmoid else ONE
                                s[index(GRAD + j)] += grad * value if share > ZERO else ZERO
                                row[index(j)] = grad * share * slope
                if seen > 0:
                    spread_colours(to_features, s, q, v, n, channels, steps, touched[1])
            behind = paths[-1]  # the optical depth was there
            for r in range(T):
                behind[r] = 0
            for wave in range(used - 1, -1, -1):
                s, q, ends = floats[wave], indices[wave], bounds[wave]
                n = ends[T]
                for r in range(len(rays)):
                    after = behind[r]
                    for j in range(ends[r + 1] - 1, ends[r] - 1, -1):
                        s[DEPTH + j] = after
                        after += s[WEIGHT + j] * s[GRAD + j]
                    behind[r] = after
                part = ZERO * size
                for j in range(n):
                    slope = (s[LEFT + j] * s[GRAD + j] - s[DEPTH + j]) * s[SLOPE + j]
                    part += slope * s[ARG + j]
                    s[DEPTH + j] = slope * scale
                to_scale += part
                spread_densities(to_density, s, q, n, steps, touched[0])
    return to_scale
