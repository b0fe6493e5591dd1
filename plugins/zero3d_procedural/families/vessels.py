"""Things made on a lathe: bottles, bowls, cups, plates, lamps."""

from __future__ import annotations

import numpy
from numpy.random import Generator

from zero3d_procedural.families.surface import colour, painted
from zero3d_procedural.shapes import Mesh, arc, cylinder, join, lathe, tube


def outline(rng: Generator, count: int = 24) -> numpy.ndarray:
    """A smooth random radius over height 0..1, positive."""
    t = numpy.linspace(0, 1, count)
    radius = rng.uniform(0.15, 0.5) + rng.uniform(-0.3, 0.3) * (t - 0.5)
    for frequency in (1, 2, 3):
        radius = radius + rng.uniform(-0.14, 0.14) / frequency * numpy.cos(
            numpy.pi * frequency * t + rng.uniform(0, 6.3)
        )
    return numpy.stack([numpy.clip(radius, 0.06, None), t * rng.uniform(0.5, 1.4)], axis=1)


def solid_of_revolution(rng: Generator) -> Mesh:
    profile = outline(rng)
    closed = numpy.concatenate([[[0, profile[0, 1]]], profile, [[0, profile[-1, 1]]]])
    return painted(lathe(closed, colour(rng)), rng)


def vessel(rng: Generator) -> Mesh:
    """A bowl, cup, vase, bucket or mug: a real inner wall, sometimes a handle."""
    kind = rng.integers(4)
    height = (rng.uniform(0.8, 1.3), rng.uniform(0.25, 0.6), rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.2))[kind]
    t = numpy.linspace(0, 1, 20)
    if kind == 0:
        radius = outline(rng, 20)[:, 0]
    elif kind == 1:
        radius = rng.uniform(0.5, 0.7) * (rng.uniform(0.3, 0.6) + (1 - 0.4) * t ** rng.uniform(0.35, 0.8))
    else:
        radius = rng.uniform(0.3, 0.5) * (1 + rng.uniform(-0.3, 0.3) * t)
    wall = min(rng.uniform(0.04, 0.13), 0.4 * radius.min())
    outer = numpy.stack([radius, t * height], axis=1)
    inner = numpy.stack([radius - wall, wall + t * (height - wall)], axis=1)[::-1]
    profile = numpy.concatenate([[[0, 0]], outer, inner, [[0, wall]]])
    parts = [painted(lathe(profile, colour(rng)), rng)]
    if kind == 3 or rng.random() < 0.2:
        size, thickness = rng.uniform(0.18, 0.32) * height, rng.uniform(0.035, 0.075)
        middle = float(numpy.interp(0.5 * height, outer[:, 1], outer[:, 0]))
        path = arc((middle - 0.5 * wall, 0, 0.5 * height), (rng.uniform(0.7, 1.2) * size, size), -1.5, 1.5)
        parts.append(
            tube(path, thickness, colour(rng) if rng.random() < 0.4 else parts[0].visual.face_colors[0, :3] / 255.0)
        )
    return join(parts)


def plate(rng: Generator) -> Mesh:
    radius, height, wall = rng.uniform(0.4, 0.6), rng.uniform(0.04, 0.25), rng.uniform(0.04, 0.08)
    t = numpy.linspace(0.35, 1, 12)
    outer = numpy.stack([radius * t, height * ((t - 0.35) / 0.65) ** 2], axis=1)
    inner = (outer + (0, wall))[::-1]
    return painted(lathe(numpy.concatenate([[[0, 0]], outer, inner, [[0, wall]]]), colour(rng)), rng)


def lamp(rng: Generator) -> Mesh:
    """A foot, a rod and a shade; or a mushroom."""
    h, r = rng.uniform(0.5, 0.9), rng.uniform(0.2, 0.4)
    parts = [
        cylinder(rng.uniform(0.12, 0.25), (0, 0, 0), (0, 0, 0.05), colour(rng), 28),
        cylinder(rng.uniform(0.03, 0.08), (0, 0, 0), (0, 0, h), colour(rng), 14),
    ]
    t = numpy.linspace(0, 1, 8)
    shade = numpy.stack([r * (1 - rng.uniform(0.2, 0.9) * t), h - 0.1 + t * rng.uniform(0.2, 0.45)], axis=1)
    parts.append(painted(lathe(numpy.concatenate([[[0, shade[0, 1]]], shade, [[0, shade[-1, 1]]]]), colour(rng)), rng))
    return join(parts)


def bottle(rng: Generator) -> Mesh:
    """A body, shoulders, a neck, perhaps a cap: bottles, jars, flasks, chess pieces."""
    body, neck = rng.uniform(0.15, 0.35), rng.uniform(0.3, 0.9)
    shoulder, rise, total = rng.uniform(0.4, 0.75), rng.uniform(0.05, 0.25), rng.uniform(0.7, 1.2)
    t = numpy.linspace(0, 1, 32)
    blend = numpy.clip((t - shoulder) / rise, 0, 1)
    radius = body * (1 + (neck - 1) * blend**2 * (3 - 2 * blend))
    profile = numpy.stack([radius, t * total], axis=1)
    mesh = lathe(numpy.concatenate([[[0, 0]], profile, [[0, total]]]), colour(rng))
    mesh = painted(mesh, rng)
    if rng.random() < 0.6:
        size = neck * body * rng.uniform(1.0, 1.25)
        mesh = join([mesh, cylinder(size, (0, 0, total), (0, 0, total * rng.uniform(1.05, 1.25)), colour(rng))])
    return mesh
