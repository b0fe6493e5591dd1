"""Shapes without a name: rings, heaps, compositions, lofts, pierced solids, letters."""

from __future__ import annotations

import numpy
from numpy.random import Generator

from zero3d_procedural.families.surface import colour, painted, rotation
from zero3d_procedural.shapes import Mesh, block, coloured, cylinder, join, loft, superquadric, tube


def ring(rng: Generator) -> Mesh:
    t = numpy.linspace(0, 2 * numpy.pi, 48, endpoint=False)
    path = numpy.stack(
        [0.4 * numpy.cos(t), rng.uniform(0.25, 0.4) * numpy.sin(t), rng.uniform(0, 0.12) * numpy.cos(2 * t)], axis=1
    )
    mesh = painted(tube(path, rng.uniform(0.07, 0.19), colour(rng), closed=True, sections=20), rng)
    if rng.random() < 0.6:
        mesh.apply_transform(rotation(rng, upright=False))
    return mesh


def heap(rng: Generator) -> Mesh:
    """Superquadrics, leaning on each other."""
    parts = []
    for _ in range(int(rng.integers(1, 5))):
        shape = superquadric(rng.uniform(0.12, 0.45, 3), tuple(rng.uniform(0.2, 1.6, 2)), colour(rng))
        shape.apply_transform(rotation(rng, upright=rng.random() < 0.4))
        shape.apply_translation(rng.uniform(-0.25, 0.25, 3))
        parts.append(painted(shape, rng))
    return join(parts)


def composition(rng: Generator) -> Mesh:
    """Plain primitives put together at right angles."""
    parts = []
    for _ in range(int(rng.integers(2, 6))):
        size, at = rng.uniform(0.1, 0.6, 3), rng.uniform(-0.3, 0.3, 3)
        if rng.random() < 0.5:
            parts.append(painted(block(size, at, colour(rng)), rng))
        else:
            axis = numpy.eye(3)[rng.integers(3)] * size[0]
            parts.append(painted(cylinder(0.4 * size[1], at - axis, at + axis, colour(rng)), rng))
    return join(parts)


def lofted(rng: Generator) -> Mesh:
    """A smooth body along an axis: shoes, fish, bags, cushions, boats, loaves."""
    count = 28
    t = numpy.linspace(0, 1, count)
    cap = numpy.clip(numpy.sin(numpy.pi * numpy.clip(t, 0.004, 0.996)), 0, 1) ** rng.uniform(0.15, 0.7)
    wide, tall, lift = (_wave(rng, t) for _ in range(3))
    widths = rng.uniform(0.1, 0.35) * cap * (1 + 0.5 * wide)
    heights = rng.uniform(0.1, 0.35) * cap * (1 + 0.6 * tall)
    floor = rng.random() < 0.5  # flat below, as what stands on the ground
    centres = numpy.stack([t - 0.5, 0 * t, heights if floor else 0.15 * lift], axis=1)
    mesh = painted(loft(centres, widths, heights, rng.uniform(0.4, 1.1), colour(rng)), rng)
    if rng.random() < 0.4:
        mesh = painted(mesh, rng)
    if rng.random() < 0.3:
        mesh.apply_transform(rotation(rng, upright=False))
    return mesh


def pierced(rng: Generator) -> Mesh:
    """A solid with a hole or a notch cut into it."""
    import trimesh

    if rng.random() < 0.6:
        solid = block(rng.uniform(0.4, 1.0, 3), (0, 0, 0), colour(rng))
    else:
        solid = cylinder(rng.uniform(0.25, 0.5), (0, 0, -0.4), (0, 0, rng.uniform(-0.1, 0.5)), colour(rng), 32)
    centre, axis = rng.uniform(-0.2, 0.2, 3), 2 * numpy.eye(3)[rng.integers(3)]
    if rng.random() < 0.5:
        cutter = cylinder(rng.uniform(0.08, 0.28), centre - axis, centre + axis, (0, 0, 0), 24)
    else:
        cutter = block(numpy.abs(axis) * 2 + rng.uniform(0.15, 0.5, 3), centre + axis * rng.integers(0, 2), (0, 0, 0))
    cut = trimesh.boolean.difference([solid, cutter], engine="manifold")
    return painted(coloured(cut, colour(rng)), rng) if len(cut.faces) else solid


LETTERS = "4f99f 79797 f111f 79997 f171f f1711 f1d9f 99f99 62226 88896 95359 1111f 9ff99 9bd99 69996 79711 6996c 79759"
"""Rows of 4-bit patterns from top to bottom, least bit on the left."""


def letter(rng: Generator) -> Mesh:
    """A block letter, standing or lying, with strokes of one thickness."""
    pattern = LETTERS.split()[rng.integers(len(LETTERS.split()))]
    thick, wide, tall = rng.uniform(0.15, 0.45), rng.uniform(0.16, 0.24), rng.uniform(0.17, 0.24)
    plain, parts = colour(rng), []
    for row, digit in enumerate(pattern):
        bits = int(digit, 16)
        parts += [
            block((thick, wide * 1.001, tall * 1.001), (0, (x - 1.5) * wide, (2 - row) * tall), plain)
            for x in range(4)
            if bits >> x & 1
        ]
    mesh = join(parts)
    if rng.random() < 0.3:
        mesh.apply_transform(rotation(rng, upright=False))
    return mesh


def _wave(rng: Generator, t: numpy.ndarray) -> numpy.ndarray:
    """A smooth random function of t in [0, 1], about -1 to 1."""
    return sum(
        rng.uniform(-0.8, 0.8) / k * numpy.cos(numpy.pi * k * t + rng.uniform(0, 6.3)) for k in (1, 2, 3)
    ) + numpy.zeros_like(t)
