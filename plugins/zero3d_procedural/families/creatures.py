"""Animals and people."""

from __future__ import annotations

import numpy
from numpy.random import Generator

from zero3d_procedural.families.surface import colour, painted
from zero3d_procedural.shapes import Mesh, ball, cylinder, join, lathe, superquadric


def animal(rng: Generator) -> Mesh:
    body, head, legs = colour(rng), colour(rng), colour(rng)
    if rng.random() < 0.6:
        head = body
    length, girth, leg, neck = (
        rng.uniform(0.28, 0.45),
        rng.uniform(0.15, 0.32),
        rng.uniform(0.1, 0.4),
        rng.uniform(0.05, 0.35),
    )
    z = leg + 0.7 * girth
    skull = rng.uniform(0.12, 0.26)
    at = numpy.array([length + 0.5 * neck, 0, z + neck])
    parts = [painted(ball((length, girth, girth), (0, 0, z), body), rng), ball((1.2 * skull, skull, skull), at, head)]
    parts.append(cylinder(0.6 * skull, (0.7 * length, 0, z), at, body, 14))
    parts.append(ball((0.7 * skull, 0.5 * skull, 0.45 * skull), at + (1.2 * skull, 0, -0.2 * skull), head))
    parts += [
        ball((0.3 * skull, 0.2 * skull, 0.6 * skull), at + (-0.2 * skull, s * 0.7 * skull, 0.9 * skull), head)
        for s in (-1, 1)
    ]
    thick = rng.uniform(0.05, 0.11)
    parts += [
        cylinder(thick, (x * 0.65 * length, s * 0.5 * girth, 0), (x * 0.6 * length, s * 0.5 * girth, z), legs, 14)
        for x in (-1, 1)
        for s in (-1, 1)
    ]
    tip = (-length - rng.uniform(0.1, 0.3), 0, z + rng.uniform(-0.15, 0.3))
    parts.append(cylinder(rng.uniform(0.03, 0.06), (-0.9 * length, 0, z), tip, body, 10))
    return join(parts)


def person(rng: Generator) -> Mesh:
    """A toy figure: head, trunk, arms in any attitude, legs or a skirt."""
    skin, shirt, trousers = colour(rng), colour(rng), colour(rng)
    leg, trunk = rng.uniform(0.15, 0.45), rng.uniform(0.25, 0.45)
    wide, deep, head = rng.uniform(0.12, 0.24), rng.uniform(0.09, 0.18), rng.uniform(0.1, 0.22)
    limb = rng.uniform(0.04, 0.09)
    middle, shoulder = leg + trunk / 2, leg + 0.85 * trunk
    parts = [painted(superquadric((deep, wide, 0.55 * trunk), (0.6, 0.7), shirt), rng)]
    parts[0].apply_translation((0, 0, middle))
    parts.append(ball((head, head, head * rng.uniform(1.0, 1.3)), (0, 0, leg + trunk + 0.8 * head), skin))
    for side in (-1, 1):
        reach = rng.uniform(0.2, 0.4) * numpy.array([rng.uniform(0, 1), side * rng.uniform(0.2, 1), rng.uniform(-1, 1)])
        start = numpy.array([0, side * wide, shoulder])
        parts.append(cylinder(0.8 * limb, start, start + reach, shirt, 14))
        parts.append(ball((limb, limb, limb), start + reach, skin))
        if leg > 0.2:
            parts.append(cylinder(limb, (0, side * 0.5 * wide, 0), (0, side * 0.5 * wide, middle), trousers, 14))
    if leg <= 0.2:
        skirt = numpy.array([[0, 0], [rng.uniform(1, 1.6) * wide, 0], [0.7 * wide, middle], [0, middle]])
        parts.append(lathe(skirt, trousers))
    return join(parts)
