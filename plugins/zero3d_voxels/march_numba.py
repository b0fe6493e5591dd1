"""The fused ray march for CPUs, compiled by numba. Import it where it is used: numba takes a second.

T rays are drawn together, in waves: each gives up to K of its next samples, all of which lie one after the other in one
scratch array. Nothing of a sample outlives its rays: the backward pass draws them again.
"""

from __future__ import annotations

from typing import Any

import numpy

from zero3d_voxels.rays_numba import ONE, RAY_FLOATS, ZERO, T, aim, traverse
from zero3d_voxels.vector_numba import P, compiled
from zero3d_voxels.wave_numba import (
    ARG,
    AT,
    DEPTH,
    FLOATS,
    INDICES,
    LEFT,
    NUMBER,
    SHARE,
    SLOPE,
    TOLD,
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


def scratch_of(real: Any, channels: int, most: int, waves: int) -> Any:
    """What a kernel writes to on the way, for T rays and so many waves of theirs. (Making it there compiles slowly.)"""
    whole = numpy.int32
    paths = (
        numpy.empty(RAY_FLOATS, real),  # the rays
        numpy.empty(3 * T, real),  # where they are, as their stretches are sought
        numpy.empty(T, whole),  # samples of each
        numpy.empty((3, T), whole),  # the sample, block and reach that they are at
        numpy.empty((T, most + 1, 3), whole),  # their stretches
        numpy.empty(T, whole),  # how many these are
        (numpy.empty((2, T), whole), numpy.empty(T, real)),  # stretch and sample to go on with, light left
        numpy.empty(T),  # optical depth so far
    )
    # what follows a wave's last sample is computed with, too, to no effect: numbers that take no time
    floats, indices = numpy.zeros((waves, FLOATS), real), numpy.empty((waves, INDICES), whole)
    return paths, (floats, indices, numpy.empty((waves, T + 1), numpy.int64), numpy.zeros((channels, P), real))


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
) -> None:
    """Find the stretches that up to T rays have to draw, and bring them to the first."""
    g, walk, counts, at, runs, found, (going, left), tau = paths
    aim(origins, directions, spans, starts, box, size, most, rays, g, counts)
    traverse(g, counts, size, box, maps, walk, at, runs, found)
    for r in range(T):
        going[0, r] = going[1, r] = 0
        left[r] = 1
        tau[r] = 0


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
    channels: Any,
    sigmoid: bool,
) -> Any:
    """The next samples of T rays with all that belongs to them, their colours in v: how many, and how many are bright."""
    size, threshold, least, _ = limits
    g, _, _, _, runs, found, state, tau = paths
    n = next_wave(s, q, g, size, box, maps, runs, found, state, least, ends)
    seen = 0
    if n > 0:
        lanes = absorb(density, s, q, n, size, box, maps[1], law)
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
    worker: int,
    workers: int,
    colour: Any,
    opacity: Any,
    distances: Any,
    weights: Any,
) -> None:
    """Draw this worker's tiles of rays: colour (R, C), opacity (R,), distances (R,), weights (R, S) or (0, 0).

    density (Z Y X), features (Z Y X C): flat. spans (R, 2): distance to the box, chord. starts (R,): shifts of the first
    samples. box: its low corner, voxels a world unit, voxels. law: raw density's scale, shift and empty level. maps: what
    `blocks.look_ahead` says, flat, with the blocks along x and y, and the cells that `cells_numba.mark` marks, flat.
    limits: step, least weight that lends colour, least light, most samples a ray. channels: C zeros, for their number is
    compiled in. order (R,): the rays, tile by tile. scratch: see `scratch_of`.
    """
    size, threshold, _, most = limits
    paths, (floats, indices, bounds, v) = scratch
    s, q, ends = floats[0], indices[0], bounds[0]
    for tile in range(worker * TILE, len(order), workers * TILE):
        for first in range(tile, min(tile + TILE, len(order)), T):
            rays = order[first : min(first + T, len(order))]
            set_out(origins, directions, spans, starts, box, size, most, rays, maps, paths)
            while True:
                n, _ = draw_wave(density, features, s, q, v, ends, box, law, maps, limits, paths, channels, sigmoid)
                if n == 0:
                    break
                for r in range(len(rays)):
                    ray, begin, end = rays[r], ends[r], ends[r + 1]
                    total, far = ZERO * size, ZERO * size
                    for j in range(begin, end):
                        total += s[WEIGHT + j]
                        far += s[WEIGHT + j] * s[AT + j]
                    opacity[ray] += total
                    distances[ray] += far
                    if weights.shape[0] > 0:
                        for j in range(begin, end):
                            weights[ray, q[NUMBER + j]] = s[WEIGHT + j]
                    if total > threshold:  # or none of its samples is bright
                        for c in range(len(channels)):
                            value, row = ZERO * size, v[c]
                            for j in range(begin, end):
                                value += s[SHARE + j] * row[j]
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
    worker: int,
    workers: int,
    told_colour: Any,
    told_opacity: Any,
    told_distances: Any,
    told_weights: Any,
    to_density: Any,
    to_features: Any,
    touched: Any,
) -> float:
    """Add dL/d density and dL/d features of this worker's rays to flat grids; returns dL/d log_scale.

    touched (2, blocks), bytes: set where samples told something to the density, and to the features, of their blocks.
    With v the gradient that falls on a sample's weight, T the light left after it and x its optical depth,
    dL/dx_j = T_j v_j - sum over i > j of w_i v_i: rays are drawn forwards, then walked back.
    """
    size, _, _, most = limits
    scale, _, _ = law
    steps = strides(box)
    paths, (floats, indices, bounds, v) = scratch
    to_scale = 0.0
    for tile in range(worker * TILE, len(order), workers * TILE):
        for first in range(tile, min(tile + TILE, len(order)), T):
            rays = order[first : min(first + T, len(order))]
            set_out(origins, directions, spans, starts, box, size, most, rays, maps, paths)
            used = 0
            while True:
                s, q, ends = floats[used], indices[used], bounds[used]
                n, seen = draw_wave(density, features, s, q, v, ends, box, law, maps, limits, paths, channels, sigmoid)
                if n == 0:
                    break
                used += 1
                for r in range(len(rays)):
                    ray, begin, end = rays[r], ends[r], ends[r + 1]
                    for j in range(begin, end):
                        s[TOLD + j] = told_opacity[ray] + told_distances[ray] * s[AT + j]
                    if told_weights.shape[0] > 0:
                        for j in range(begin, end):
                            s[TOLD + j] += told_weights[ray, q[NUMBER + j]]
                    bright = ZERO * size
                    for j in range(begin, end):
                        bright += s[SHARE + j]
                    if bright > ZERO:
                        for c in range(len(channels)):
                            told, row = told_colour[ray, c], v[c]
                            for j in range(begin, end):
                                value, share = row[j], s[SHARE + j]
                                slope = value * (ONE - value) if sigmoid else ONE
                                s[TOLD + j] += told * value if share > ZERO else ZERO
                                row[j] = told * share * slope
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
                        after += s[WEIGHT + j] * s[TOLD + j]
                    behind[r] = after
                part = ZERO * size
                for j in range(n):
                    slope = (s[LEFT + j] * s[TOLD + j] - s[DEPTH + j]) * s[SLOPE + j]
                    part += slope * s[ARG + j]
                    s[DEPTH + j] = slope * scale
                to_scale += part
                spread_densities(to_density, s, q, n, steps, touched[0])
    return to_scale
