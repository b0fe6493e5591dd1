"""The compositing kernels, compiled by numba. Import it where it is used: numba takes a second.

A tile of the picture is drawn at a time, from a list of the Gaussians whose ellipses reach it, nearest first. The lanes of
a tile's row are worked on together. The backward pass draws each tile again from the front, with what still lies behind
known from the finished picture; what a Gaussian gets from a tile is written to a place of its own, and these are summed
in order: gradients do not depend on the number of threads. Nothing is kept of a pixel but the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy
from numba.extending import overload

TW, TH = 16, 16
"""Pixels of a tile across (they are worked on together) and down."""
LANES = numpy.uint64(TW)
MOMENTS = 8
"""Numbers of a Gaussian's gradient beside those of its features: centre (2), conic (3), opacity, centre absolute (2)."""
CHECK = 16
"""Gaussians after which a tile looks whether any of its light is left."""


def compiled(function: Callable[..., Any]) -> Any:
    """njit without the interpreter's lock, kept on disk where any place can be written; NUMBA_CACHE_DIR names one."""
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    }
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither beside its file nor in the user's cache
        return numba.njit(**options)(function)


def exponential(x: Any) -> Any:
    """e^x for x <= 0."""
    return math.exp(x)


_HALF, _ONE, _LOWEST = (numpy.float32(value) for value in (0.5, 1, -87))
_LOG2_E, _LN2_HIGH, _LN2_LOW = (numpy.float32(v) for v in (1 / math.log(2), 0.693359375, -2.12194440e-4))
_E2, _E3, _E4, _E5, _E6, _E7 = (numpy.float32(1 / math.factorial(k)) for k in range(2, 8))


@overload(exponential)
def _exponential(x: Any) -> Any:
    if x != numba.float32:
        return exponential

    def single(x: Any) -> Any:  # 2^n e^r with |r| <= ln 2 / 2 (Cody and Waite); Taylor's error there is 1e-8
        x = max(x, _LOWEST)
        n = numpy.floor(x * _LOG2_E + _HALF)
        r = (x - n * _LN2_HIGH) - n * _LN2_LOW
        poly = ((((_E7 * r + _E6) * r + _E5) * r + _E4) * r + _E3) * r + _E2
        power = numpy.int32((numpy.int32(n) + 127) << 23).view(numpy.float32)
        return (poly * (r * r) + r + _ONE) * power

    return single


@compiled
def frame(means: Any, conics: Any, opacities: Any, least: float, height: int, width: int, boxes: Any) -> int:
    """The pixels that each ellipse reaches: boxes (M, 4) of the first and last column and row. Returns how many tiles.

    An ellipse ends where its alpha falls below `least`. One that reaches no pixel's centre has a last before its first.
    """
    total = 0
    for g in range(len(means)):
        boxes[g, 0], boxes[g, 1], boxes[g, 2], boxes[g, 3] = 0, -1, 0, -1
        a, b, c = float(conics[g, 0]), float(conics[g, 1]), float(conics[g, 2])
        strength, area = float(opacities[g]), a * c - b * b
        if not (strength >= least and area > 0):
            continue
        reach = 2 * math.log(strength / least) / area * 1.0001
        wide, high = math.sqrt(reach * c) + 1e-3, math.sqrt(reach * a) + 1e-3
        x, y = float(means[g, 0]) - 0.5, float(means[g, 1]) - 0.5
        left, right = max(math.ceil(x - wide), 0.0), min(math.floor(x + wide), width - 1.0)
        top, bottom = max(math.ceil(y - high), 0.0), min(math.floor(y + high), height - 1.0)
        if left <= right and top <= bottom:
            boxes[g, 0], boxes[g, 1], boxes[g, 2], boxes[g, 3] = int(left), int(right), int(top), int(bottom)
            total += (int(right) // TW - int(left) // TW + 1) * (int(bottom) // TH - int(top) // TH + 1)
    return total


@compiled
def bin_tiles(boxes: Any, order: Any, across: int, down: int, starts: Any, firsts: Any, ids: Any, slots: Any) -> None:
    """Lists for the tiles: those of tile t are starts[t] to starts[t + 1].

    order (B, N): the Gaussians of each view, nearest first, numbered through all views. ids: a list's Gaussians, in that
    order. slots: the place of such a pair when all are sorted by Gaussian, whose places begin at firsts (M + 1,).
    """
    views, count = order.shape
    tiles = across * down
    starts[:] = 0
    total = 0
    for g in range(len(boxes)):
        firsts[g] = total
        if boxes[g, 0] > boxes[g, 1]:
            continue
        base = g // count * tiles
        for row in range(boxes[g, 2] // TH, boxes[g, 3] // TH + 1):
            for column in range(boxes[g, 0] // TW, boxes[g, 1] // TW + 1):
                starts[base + row * across + column + 1] += 1
                total += 1
    firsts[len(boxes)] = total
    for tile in range(views * tiles):
        starts[tile + 1] += starts[tile]
    fill = starts[:-1].copy()
    for view in range(views):
        for place in range(count):
            g = order[view, place]
            if boxes[g, 0] > boxes[g, 1]:
                continue
            slot = firsts[g]
            for row in range(boxes[g, 2] // TH, boxes[g, 3] // TH + 1):
                for column in range(boxes[g, 0] // TW, boxes[g, 1] // TW + 1):
                    tile = view * tiles + row * across + column
                    ids[fill[tile]] = g
                    slots[fill[tile]] = slot
                    fill[tile] += 1
                    slot += 1


@compiled
def index(place: Any) -> Any:
    """A place in an array. Signed, it might count from the end, and of a loop over such the compiler makes no vectors."""
    return numpy.uint64(place)


@compiled
def draw(
    means: Any,
    conics: Any,
    opacities: Any,
    features: Any,
    limits: Any,
    boxes: Any,
    starts: Any,
    ids: Any,
    across: int,
    tiles: int,
    worker: int,
    workers: int,
    ends: Any,
    out: Any,
) -> None:
    """Every `workers`-th tile. out (B, H, W, F + 1): the sums and the opacity; ends: how far each tile's list was read."""
    one, half, least, most, dark = limits
    views, height, width, count = out.shape
    count -= 1
    nothing = one - one
    light, weight = numpy.empty(TH * TW, means.dtype), numpy.empty(TW, means.dtype)
    sums = numpy.empty((count + 1) * TH * TW, means.dtype)
    places = numpy.arange(TW).astype(means.dtype)
    for tile in range(worker, views * tiles, workers):
        view, number = tile // tiles, tile % tiles
        left, top = number % across * TW, number // across * TH
        light[:] = one
        sums[:] = nothing
        end = starts[tile]
        for k in range(starts[tile], starts[tile + 1]):
            g = ids[k]
            end = k + 1
            a, b, c, o = half * conics[g, 0], conics[g, 1], half * conics[g, 2], opacities[g]
            x0 = means[g, 0] - (numpy.float32(left) + half)
            y0 = means[g, 1] - (numpy.float32(top) + half)
            first, last = max(boxes[g, 2] - top, 0), min(boxes[g, 3] - top, TH - 1)
            for row in range(first, last + 1):
                y = numpy.float32(row) - y0
                straight, slope = c * y * y, b * y
                at = index(row * TW)
                for i in range(LANES):
                    x = places[i] - x0
                    alpha = o * exponential(-(a * x * x + slope * x + straight))
                    alpha = most if alpha > most else alpha
                    alpha = alpha if alpha >= least else nothing
                    before = light[at + i]
                    after = before * (one - alpha)
                    weight[i] = alpha * before if after > dark else nothing
                    light[at + i] = after if after > dark else nothing
                for f in range(count):
                    value, to = features[g, f], index(f * TH * TW) + at
                    for i in range(LANES):
                        sums[to + i] += weight[i] * value
                to = index(count * TH * TW) + at
                for i in range(LANES):
                    sums[to + i] += weight[i]
            if k % CHECK == 0 and light.max() == nothing:
                break
        ends[tile] = end
        for row in range(min(TH, height - top)):
            for i in range(min(TW, width - left)):
                for f in range(count + 1):
                    out[view, top + row, left + i, f] = sums[(f * TH + row) * TW + i]


@compiled
def draw_back(
    means: Any,
    conics: Any,
    opacities: Any,
    features: Any,
    limits: Any,
    boxes: Any,
    starts: Any,
    ids: Any,
    across: int,
    tiles: int,
    worker: int,
    workers: int,
    ends: Any,
    out: Any,
    told: Any,
    slots: Any,
    absolute: bool,
    pairs: Any,
) -> None:
    """The gradients `told` (B, H, W, F + 1) of `draw`'s out -> each pair's share, pairs (P, MOMENTS + F), by slots."""
    one, half, least, most, dark = limits
    views, height, width, count = out.shape
    count -= 1
    nothing, real = one - one, means.dtype
    light, behind = numpy.empty(TH * TW, real), numpy.empty(TH * TW, real)
    asked = numpy.empty((count + 1) * TH * TW, real)
    weight, slopes, pull = numpy.empty(TW, real), numpy.empty(TW, real), numpy.empty(TW, real)
    m0, m1, m2 = numpy.empty(TW, real), numpy.empty(TW, real), numpy.empty(TW, real)
    abs_x, abs_y = numpy.empty(TW, real), numpy.empty(TW, real)
    to_features = numpy.empty(count * TW, real)
    places = numpy.arange(TW).astype(real)
    for tile in range(worker, views * tiles, workers):
        view, number = tile // tiles, tile % tiles
        left, top = number % across * TW, number // across * TH
        light[:] = one
        behind[:] = nothing
        asked[:] = nothing
        for row in range(min(TH, height - top)):
            for i in range(min(TW, width - left)):
                for f in range(count + 1):
                    told_here = told[view, top + row, left + i, f]
                    asked[(f * TH + row) * TW + i] = told_here
                    behind[row * TW + i] += told_here * out[view, top + row, left + i, f]
        for k in range(starts[tile], ends[tile]):
            g = ids[k]
            a, b, c, o = conics[g, 0], conics[g, 1], conics[g, 2], opacities[g]
            x0 = means[g, 0] - (numpy.float32(left) + half)
            y0 = means[g, 1] - (numpy.float32(top) + half)
            first, last = max(boxes[g, 2] - top, 0), min(boxes[g, 3] - top, TH - 1)
            m0[:] = nothing
            m1[:] = nothing
            m2[:] = nothing
            abs_x[:] = nothing
            abs_y[:] = nothing
            to_features[:] = nothing
            for row in range(first, last + 1):
                y = numpy.float32(row) - y0
                straight, slope, half_a, yy = half * c * y * y, b * y, half * a, y * y
                at = index(row * TW)
                whole = index(count * TH * TW) + at
                for i in range(LANES):
                    pull[i] = asked[whole + i]
                for f in range(count):
                    value, of = features[g, f], index(f * TH * TW) + at
                    for i in range(LANES):
                        pull[i] += value * asked[of + i]
                for i in range(LANES):
                    x = places[i] - x0
                    alpha = o * exponential(-(half_a * x * x + slope * x + straight))
                    free = alpha <= most
                    alpha = alpha if free else most
                    alpha = alpha if alpha >= least else nothing
                    before = light[at + i]
                    after = before * (one - alpha)
                    w = alpha * before if after > dark else nothing
                    light[at + i] = after if after > dark else nothing
                    own = w * pull[i]
                    rest = behind[at + i] - own
                    behind[at + i] = rest
                    weight[i] = w
                    moved = own - alpha * rest / (one - alpha)
                    moved = moved if free else nothing
                    slopes[i] = moved if w > nothing else nothing
                for i in range(LANES):
                    m0[i] += slopes[i]
                    m1[i] += slopes[i] * y
                    m2[i] += slopes[i] * yy
                for f in range(count):
                    of, to = index(f * TH * TW) + at, index(f * TW)
                    for i in range(LANES):
                        to_features[to + i] += weight[i] * asked[of + i]
                if absolute:
                    for i in range(LANES):
                        x = places[i] - x0
                        abs_x[i] += abs(slopes[i] * (a * x + b * y))
                        abs_y[i] += abs(slopes[i] * (b * x + c * y))
            s0, sx, sy, sxx = nothing, nothing, nothing, nothing
            sxy, syy, ax, ay = nothing, nothing, nothing, nothing
            for i in range(LANES):
                x = places[i] - x0
                s0 += m0[i]
                sx += m0[i] * x
                sy += m1[i]
                sxx += m0[i] * x * x
                sxy += m1[i] * x
                syy += m2[i]
                ax += abs_x[i]
                ay += abs_y[i]
            slot = slots[k]
            pairs[slot, 0], pairs[slot, 1] = a * sx + b * sy, b * sx + c * sy
            pairs[slot, 2], pairs[slot, 3], pairs[slot, 4] = -half * sxx, -sxy, -half * syy
            pairs[slot, 5], pairs[slot, 6], pairs[slot, 7] = s0 / o, ax, ay
            for f in range(count):
                total, of = nothing, index(f * TW)
                for i in range(LANES):
                    total += to_features[of + i]
                pairs[slot, MOMENTS + f] = total


@compiled
def gather(pairs: Any, firsts: Any, worker: int, workers: int, out: Any) -> None:
    """The sum of each Gaussian's pairs, in order: out (M, MOMENTS + F)."""
    for g in range(worker, len(out), workers):
        for f in range(out.shape[1]):
            out[g, f] = 0
        for slot in range(firsts[g], firsts[g + 1]):
            for f in range(out.shape[1]):
                out[g, f] += pairs[slot, f]
