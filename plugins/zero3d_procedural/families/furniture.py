"""Furniture: tables, chairs, racks, sofas."""

from __future__ import annotations

import numpy
from numpy.random import Generator

from zero3d_procedural.families.surface import colour, painted
from zero3d_procedural.shapes import Mesh, block, cylinder, join


def table(rng: Generator) -> Mesh:
    w, d, h, top = rng.uniform(0.6, 1.2), rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0), rng.uniform(0.05, 0.18)
    a, b, leg = colour(rng), colour(rng), rng.uniform(0.035, 0.1)
    if rng.random() < 0.35:
        r = 0.5 * min(w, d)
        parts = [cylinder(r, (0, 0, h - top), (0, 0, h), a, 32), cylinder(leg, (0, 0, 0), (0, 0, h - 0.5 * top), b)]
        parts.append(cylinder(0.55 * r, (0, 0, 0), (0, 0, 0.05), b, 32))
        return join(parts)
    parts = [painted(block((w, d, top), (0, 0, h - top / 2), a), rng)]
    round_legs, inset = rng.random() < 0.5, leg + rng.uniform(0, 0.06)
    for x in (-w / 2 + inset, w / 2 - inset):
        for y in (-d / 2 + inset, d / 2 - inset):
            foot, head = (x, y, 0.0), (x, y, h - top / 2)
            parts.append(
                cylinder(leg, foot, head, b)
                if round_legs
                else block((2 * leg, 2 * leg, h - top / 2), (x, y, (h - top / 2) / 2), b)
            )
    return join(parts)


def chair(rng: Generator) -> Mesh:
    w, h, seat, back, leg = (
        rng.uniform(0.4, 0.6),
        rng.uniform(0.35, 0.55),
        rng.uniform(0.06, 0.2),
        rng.uniform(0.35, 0.7),
        rng.uniform(0.03, 0.08),
    )
    a, b, rest = colour(rng), colour(rng), rng.uniform(0.06, 0.2)
    parts = [
        block((w, w, seat), (0, 0, h), a),
        block((rest, w, back), (-w / 2 + rest / 2, 0, h + back / 2), a if rng.random() < 0.5 else colour(rng)),
    ]
    parts += [
        block((2 * leg, 2 * leg, h), (x, y, h / 2), b)
        for x in (-w / 2 + leg, w / 2 - leg)
        for y in (-w / 2 + leg, w / 2 - leg)
    ]
    if rng.random() < 0.4:
        parts += [block((w, 0.06, 0.06), (0, s * (w / 2 - 0.03), h + 0.22), b) for s in (-1, 1)]
        parts += [block((0.06, 0.06, 0.24), (w / 2 - 0.05, s * (w / 2 - 0.03), h + 0.11), b) for s in (-1, 1)]
    return join(parts)


def rack(rng: Generator) -> Mesh:
    """Shelves or bars between uprights."""
    w, d, h, n = rng.uniform(0.5, 1.1), rng.uniform(0.25, 0.6), rng.uniform(0.5, 1.2), int(rng.integers(2, 5))
    a, b, bar = colour(rng), colour(rng), rng.uniform(0.025, 0.07)
    if rng.random() < 0.5:
        parts = [block((bar, d, h), (s * w / 2, 0, h / 2), a) for s in (-1, 1)]
    else:
        parts = [
            cylinder(bar, (x * w / 2, y * d / 2, 0), (x * w / 2, y * d / 2, h), a, 10) for x in (-1, 1) for y in (-1, 1)
        ]
    for z in numpy.linspace(0.1 * h, h - bar, n):
        if rng.random() < 0.7:
            parts.append(block((w, d, bar), (0, 0, z), b))
        else:
            parts += [
                cylinder(0.7 * bar, (-w / 2, y, z), (w / 2, y, z), b, 10) for y in numpy.linspace(-d / 2, d / 2, 4)
            ]
    return join(parts)


def sofa(rng: Generator) -> Mesh:
    """A seat between arms, with a back: sofas, armchairs, thrones."""
    w, d, seat = rng.uniform(0.5, 1.2), rng.uniform(0.4, 0.7), rng.uniform(0.2, 0.4)
    back, arm, thick = rng.uniform(0.15, 0.5), rng.uniform(0.0, 0.3), rng.uniform(0.08, 0.2)
    a, b = colour(rng), colour(rng)
    parts = [painted(block((d, w, seat), (0, 0, seat / 2), a), rng)]
    parts.append(block((thick, w, seat + back), (-d / 2 + thick / 2, 0, (seat + back) / 2), b))
    if arm > 0.08:
        size = (d, thick, seat + arm)
        parts += [block(size, (0, s * (w + thick) / 2, (seat + arm) / 2), b) for s in (-1, 1)]
    return join(parts)
