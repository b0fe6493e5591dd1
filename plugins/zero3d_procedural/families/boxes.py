"""Boxes: printed packages, open crates, stacks."""

from __future__ import annotations

import numpy
from numpy.random import Generator

from zero3d_procedural.families.surface import colour, painted
from zero3d_procedural.shapes import Mesh, block, coloured, cylinder, join


def package(rng: Generator) -> Mesh:
    """A closed box or tin with a printed label."""
    size = rng.uniform(0.2, 1.0, 3)
    base, label = colour(rng), colour(rng)
    if rng.random() < 0.3:
        tin = cylinder(0.5 * size[0], (0, 0, 0), (0, 0, size[2]), base, 40)
        return painted(coloured(tin.subdivide().subdivide(), base), rng)
    mesh = block(size, (0, 0, 0), base)
    for _ in range(4):
        mesh = mesh.subdivide()
    mesh = coloured(mesh, base)
    place = mesh.triangles_center / size
    colours = mesh.visual.face_colors.copy()
    for _ in range(int(rng.integers(1, 4))):
        axis, sign = int(rng.integers(3)), rng.choice([-1, 1])
        others = [k for k in range(3) if k != axis]
        low = rng.uniform(-0.5, 0.1, 2)
        high = low + rng.uniform(0.2, 0.8, 2)
        inside = numpy.abs(place[:, axis] - 0.5 * sign) < 1e-3
        for k, (lo, hi) in zip(others, zip(low, high, strict=True), strict=True):
            inside &= (place[:, k] > lo) & (place[:, k] < hi)
        colours[inside, :3] = numpy.round(255 * label)
        label = colour(rng)
    mesh.visual.face_colors = colours
    return mesh


def open_box(rng: Generator) -> Mesh:
    """A crate, tray or drawer without a lid."""
    w, d, h, wall = rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0), rng.uniform(0.1, 0.7), rng.uniform(0.04, 0.1)
    a = colour(rng)
    parts = [block((w, d, wall), (0, 0, wall / 2), a)]
    parts += [block((wall, d, h), (s * (w - wall) / 2, 0, h / 2), a) for s in (-1, 1)]
    side = colour(rng) if rng.random() < 0.4 else a
    parts += [block((w, wall, h), (0, s * (d - wall) / 2, h / 2), side) for s in (-1, 1)]
    return join(parts)


def stack(rng: Generator) -> Mesh:
    """Books, bricks or parcels on top of each other."""
    parts, top = [], 0.0
    for _ in range(int(rng.integers(2, 6))):
        w, d, h = rng.uniform(0.3, 0.8), rng.uniform(0.3, 0.7), rng.uniform(0.08, 0.3)
        box = block((w, d, h), (*rng.uniform(-0.06, 0.06, 2), top + h / 2), colour(rng))
        box.apply_transform(numpy.array(turn_about_z(rng.normal(0, 0.25))))
        parts.append(painted(box, rng))
        top += h
    return join(parts)


def turn_about_z(angle: float) -> list[list[float]]:
    """4x4 rotation matrix, radians."""
    c, s = float(numpy.cos(angle)), float(numpy.sin(angle))
    return [[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
