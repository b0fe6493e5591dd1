"""Families of objects. Each takes a numpy Generator and returns a mesh of closed parts, in any size, z up."""

from __future__ import annotations

from collections.abc import Callable

import numpy
from numpy.random import Generator

from zero3d_procedural.shapes import (
    Mesh,
    arc,
    ball,
    block,
    coloured,
    cylinder,
    join,
    lathe,
    superquadric,
    tube,
)


def colour(rng: Generator) -> numpy.ndarray:
    """A random colour: mostly saturated, sometimes grey, sometimes nearly white or black."""
    kind = rng.random()
    if kind < 0.15:
        return numpy.full(3, rng.uniform(0.05, 0.95))
    hue, saturation, value = rng.random(), rng.uniform(0.2, 1.0), rng.uniform(0.3, 1.0) ** 0.6
    wheel = numpy.clip(numpy.abs((hue * 6 + numpy.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return value * (1 - saturation * (1 - wheel))


def painted(mesh: Mesh, rng: Generator) -> Mesh:
    """With some chance, bands by height or patches by direction over a part's plain colour."""
    kind = rng.random()
    if kind < 0.55:
        return mesh
    centres = mesh.triangles_center
    colours = mesh.visual.face_colors.copy()
    if kind < 0.8:
        axis = rng.integers(3)
        low, high = numpy.sort(rng.uniform(centres[:, axis].min(), centres[:, axis].max(), 2))
        chosen = (centres[:, axis] > low) & (centres[:, axis] < high)
    else:
        direction = rng.normal(size=3)
        chosen = mesh.face_normals @ direction > 0.3 * numpy.linalg.norm(direction)
    colours[chosen, :3] = numpy.round(255 * colour(rng))
    mesh.visual.face_colors = colours
    return mesh


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
    wall = min(rng.uniform(0.03, 0.09), 0.4 * radius.min())
    outer = numpy.stack([radius, t * height], axis=1)
    inner = numpy.stack([radius - wall, wall + t * (height - wall)], axis=1)[::-1]
    profile = numpy.concatenate([[[0, 0]], outer, inner, [[0, wall]]])
    parts = [painted(lathe(profile, colour(rng)), rng)]
    if kind == 3 or rng.random() < 0.2:
        size, thickness = rng.uniform(0.18, 0.32) * height, rng.uniform(0.03, 0.06)
        middle = float(numpy.interp(0.5 * height, outer[:, 1], outer[:, 0]))
        path = arc((middle - 0.5 * wall, 0, 0.5 * height), (rng.uniform(0.7, 1.2) * size, size), -1.5, 1.5)
        parts.append(
            tube(path, thickness, colour(rng) if rng.random() < 0.4 else parts[0].visual.face_colors[0, :3] / 255.0)
        )
    return join(parts)


def table(rng: Generator) -> Mesh:
    w, d, h, top = rng.uniform(0.6, 1.2), rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0), rng.uniform(0.04, 0.12)
    a, b, leg = colour(rng), colour(rng), rng.uniform(0.025, 0.07)
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
        rng.uniform(0.04, 0.12),
        rng.uniform(0.35, 0.7),
        rng.uniform(0.025, 0.05),
    )
    a, b = colour(rng), colour(rng)
    parts = [
        block((w, w, seat), (0, 0, h), a),
        block((0.07, w, back), (-w / 2 + 0.035, 0, h + back / 2), a if rng.random() < 0.5 else colour(rng)),
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
    a, b, bar = colour(rng), colour(rng), rng.uniform(0.02, 0.05)
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
    w, d, h, wall = rng.uniform(0.5, 1.0), rng.uniform(0.4, 1.0), rng.uniform(0.1, 0.7), rng.uniform(0.03, 0.08)
    a = colour(rng)
    parts = [block((w, d, wall), (0, 0, wall / 2), a)]
    parts += [block((wall, d, h), (s * (w - wall) / 2, 0, h / 2), a) for s in (-1, 1)]
    side = colour(rng) if rng.random() < 0.4 else a
    parts += [block((w, wall, h), (0, s * (d - wall) / 2, h / 2), side) for s in (-1, 1)]
    return join(parts)


def plate(rng: Generator) -> Mesh:
    radius, height, wall = rng.uniform(0.4, 0.6), rng.uniform(0.04, 0.2), rng.uniform(0.03, 0.05)
    t = numpy.linspace(0.35, 1, 12)
    outer = numpy.stack([radius * t, height * ((t - 0.35) / 0.65) ** 2], axis=1)
    inner = (outer + (0, wall))[::-1]
    return painted(lathe(numpy.concatenate([[[0, 0]], outer, inner, [[0, wall]]]), colour(rng)), rng)


def animal(rng: Generator) -> Mesh:
    body, head, legs = colour(rng), colour(rng), colour(rng)
    if rng.random() < 0.6:
        head = body
    length, girth, leg, neck = (
        rng.uniform(0.28, 0.45),
        rng.uniform(0.14, 0.24),
        rng.uniform(0.15, 0.45),
        rng.uniform(0.05, 0.35),
    )
    z = leg + 0.7 * girth
    skull = rng.uniform(0.1, 0.18)
    at = numpy.array([length + 0.5 * neck, 0, z + neck])
    parts = [painted(ball((length, girth, girth), (0, 0, z), body), rng), ball((1.2 * skull, skull, skull), at, head)]
    parts.append(cylinder(0.6 * skull, (0.7 * length, 0, z), at, body, 14))
    parts.append(ball((0.7 * skull, 0.5 * skull, 0.45 * skull), at + (1.2 * skull, 0, -0.2 * skull), head))
    parts += [
        ball((0.3 * skull, 0.2 * skull, 0.6 * skull), at + (-0.2 * skull, s * 0.7 * skull, 0.9 * skull), head)
        for s in (-1, 1)
    ]
    thick = rng.uniform(0.04, 0.08)
    parts += [
        cylinder(thick, (x * 0.65 * length, s * 0.5 * girth, 0), (x * 0.6 * length, s * 0.5 * girth, z), legs, 14)
        for x in (-1, 1)
        for s in (-1, 1)
    ]
    parts.append(
        cylinder(
            0.03, (-0.9 * length, 0, z), (-length - rng.uniform(0.1, 0.3), 0, z + rng.uniform(-0.15, 0.3)), body, 10
        )
    )
    return join(parts)


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


def ring(rng: Generator) -> Mesh:
    t = numpy.linspace(0, 2 * numpy.pi, 48, endpoint=False)
    path = numpy.stack(
        [0.4 * numpy.cos(t), rng.uniform(0.25, 0.4) * numpy.sin(t), rng.uniform(0, 0.12) * numpy.cos(2 * t)], axis=1
    )
    mesh = painted(tube(path, rng.uniform(0.05, 0.17), colour(rng), closed=True, sections=20), rng)
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


def tool(rng: Generator) -> Mesh:
    """A handle with a head: hammer, brush, spoon, lollipop; lying or standing."""
    length, grip = rng.uniform(0.6, 1.0), rng.uniform(0.03, 0.07)
    parts = [cylinder(grip, (0, 0, 0), (0, 0, length), colour(rng), 16)]
    if rng.random() < 0.5:
        parts.append(block(rng.uniform(0.08, 0.45, 3), (0, 0, length), colour(rng)))
    else:
        parts.append(ball(rng.uniform(0.08, 0.25, 3), (0, 0, length), colour(rng)))
    mesh = join(parts)
    if rng.random() < 0.7:
        mesh.apply_transform(rotation(rng, upright=False))
    return mesh


def lamp(rng: Generator) -> Mesh:
    """A foot, a rod and a shade; or a mushroom."""
    h, r = rng.uniform(0.5, 0.9), rng.uniform(0.2, 0.4)
    parts = [
        cylinder(rng.uniform(0.12, 0.25), (0, 0, 0), (0, 0, 0.05), colour(rng), 28),
        cylinder(rng.uniform(0.02, 0.06), (0, 0, 0), (0, 0, h), colour(rng), 14),
    ]
    t = numpy.linspace(0, 1, 8)
    shade = numpy.stack([r * (1 - rng.uniform(0.2, 0.9) * t), h - 0.1 + t * rng.uniform(0.2, 0.45)], axis=1)
    parts.append(painted(lathe(numpy.concatenate([[[0, shade[0, 1]]], shade, [[0, shade[-1, 1]]]]), colour(rng)), rng))
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


def rotation(rng: Generator, upright: bool) -> numpy.ndarray:
    """A random 4x4 rotation, about z alone if upright."""
    import trimesh

    if upright:
        return trimesh.transformations.rotation_matrix(rng.uniform(0, 2 * numpy.pi), [0, 0, 1])
    return trimesh.transformations.random_rotation_matrix(rng.random(3))


FAMILIES: tuple[tuple[Callable[[Generator], Mesh], float], ...] = (
    (solid_of_revolution, 1.0),
    (vessel, 2.5),
    (table, 1.0),
    (chair, 1.0),
    (rack, 0.8),
    (package, 1.5),
    (open_box, 1.2),
    (plate, 0.7),
    (animal, 1.3),
    (vehicle, 1.2),
    (ring, 0.6),
    (heap, 1.3),
    (tool, 0.8),
    (lamp, 0.6),
    (composition, 1.0),
)
"""The families with their shares."""


def make_object(seed: int) -> Mesh:
    """Object number `seed`: longest side 1, centred, turned to any azimuth (sometimes to any attitude)."""
    from zero3d.mesh_files import normalise

    rng = numpy.random.default_rng([20231, seed])
    shares = numpy.array([share for _, share in FAMILIES])
    family = FAMILIES[rng.choice(len(FAMILIES), p=shares / shares.sum())][0]
    mesh = family(rng)
    if rng.random() < 0.3:
        mesh.apply_scale(rng.uniform(0.6, 1.4, 3))
    mesh.apply_transform(rotation(rng, upright=rng.random() < 0.88))
    return normalise(mesh)
