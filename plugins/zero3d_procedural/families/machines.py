"""Vehicles and tools."""

from __future__ import annotations

from numpy.random import Generator

from zero3d_procedural.families.surface import colour, painted, rotation
from zero3d_procedural.shapes import Mesh, ball, block, cylinder, join, superquadric


def vehicle(rng: Generator) -> Mesh:
    length, width, height = rng.uniform(0.8, 1.2), rng.uniform(0.35, 0.55), rng.uniform(0.15, 0.3)
    wheel, a, glass = rng.uniform(0.09, 0.16), colour(rng), colour(rng)
    z = wheel + height / 2
    parts = [painted(block((length, width, height), (0, 0, z), a), rng)]
    cabin, shift, tall = rng.uniform(0.3, 0.7) * length, rng.uniform(-0.2, 0.2) * length, rng.uniform(0.12, 0.3)
    shape = superquadric((cabin / 2, 0.46 * width, tall), (0.4, 0.4), glass)
    shape.apply_translation((shift, 0, z + height / 2))
    parts.append(shape)
    if rng.random() < 0.5:
        parts.append(block((0.8 * cabin, 0.8 * width, 0.05), (shift, 0, z + height / 2 + 0.97 * tall), a))
    for x in (-0.32 * length, 0.32 * length):
        parts += [
            cylinder(wheel, (x, s * 0.42 * width, wheel), (x, s * 0.56 * width, wheel), (0.1, 0.1, 0.1), 24)
            for s in (-1, 1)
        ]
    return join(parts)


def tool(rng: Generator) -> Mesh:
    """A handle with a head: hammer, brush, spoon, lollipop; lying or standing."""
    length, grip = rng.uniform(0.6, 1.0), rng.uniform(0.04, 0.1)
    parts = [cylinder(grip, (0, 0, 0), (0, 0, length), colour(rng), 16)]
    if rng.random() < 0.5:
        parts.append(block(rng.uniform(0.12, 0.5, 3), (0, 0, length), colour(rng)))
    else:
        parts.append(ball(rng.uniform(0.1, 0.3, 3), (0, 0, length), colour(rng)))
    mesh = join(parts)
    if rng.random() < 0.7:
        mesh.apply_transform(rotation(rng, upright=False))
    return mesh
