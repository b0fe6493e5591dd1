"""Five named shapes that reconstruction is measured on: clean closed surfaces with known colours, longest side 1."""

from __future__ import annotations

import numpy

from zero3d.mesh_files import normalise
from zero3d_procedural.shapes import Mesh, arc, ball, banded, block, cylinder, difference, lathe, tube, union


def mug() -> Mesh:
    """A blue mug with a cream band, inside cream with a brown bottom, and a yellow handle; walls 8 % of its height.

    (Inside as plain as outside, a hollow and a lid across the rim would look alike from everywhere.)
    """
    wall, blue, cream, brown = 0.08, (0.2, 0.4, 0.85), (0.95, 0.9, 0.75), (0.35, 0.2, 0.1)
    heights = numpy.linspace(0, 1, 21)
    outside = numpy.stack([numpy.full(21, 0.38), heights], axis=1)
    body = lathe(numpy.concatenate([[[0, 0]], outside, [[0, 1]]]), blue, 64)
    body = banded(body, [0.25, 0.45], [blue, cream, blue])
    handle = tube(arc((0.34, 0, 0.52), (0.26, 0.28), -1.55, 1.55), 0.055, (0.95, 0.75, 0.15))
    depth = numpy.linspace(wall, 1.2, 24)
    inside = numpy.stack([numpy.full(24, 0.38 - wall), depth], axis=1)
    hollow = lathe(numpy.concatenate([[[0, wall]], inside, [[0, 1.2]]]), cream, 64)
    hollow = banded(hollow, [wall + 1e-3, 0.5, 0.65], [brown, cream, (0.85, 0.35, 0.3), cream])
    return normalise(_turned(difference(union([body, handle]), hollow), 65))


def table() -> Mesh:
    """A red table top on four brown legs."""
    parts = [block((1.0, 0.7, 0.09), (0, 0, 0.66), (0.8, 0.25, 0.2))]
    parts += [block((0.09, 0.09, 0.64), (x, y, 0.32), (0.45, 0.3, 0.15)) for x in (-0.43, 0.43) for y in (-0.28, 0.28)]
    return normalise(_turned(union(parts), 30))


def torus() -> Mesh:
    """A green ring, standing and turned."""
    t = numpy.linspace(0, 2 * numpy.pi, 64, endpoint=False)
    path = numpy.stack([0.36 * numpy.cos(t), 0 * t, 0.36 * numpy.sin(t)], axis=1)
    return normalise(_turned(tube(path, 0.13, (0.25, 0.65, 0.3), closed=True, sections=32), 50))


def animal() -> Mesh:
    """A four-legged animal with a head, ears and a tail."""
    fur, dark = (0.85, 0.55, 0.25), (0.4, 0.25, 0.15)
    parts = [ball((0.4, 0.2, 0.2), (0, 0, 0.5), fur), ball((0.17, 0.14, 0.14), (0.48, 0, 0.72), fur)]
    parts += [cylinder(0.09, (0.28, 0, 0.52), (0.46, 0, 0.7), fur), ball((0.09, 0.07, 0.06), (0.64, 0, 0.68), dark)]
    parts += [ball((0.05, 0.035, 0.09), (0.44, s * 0.1, 0.86), dark) for s in (-1, 1)]
    parts += [cylinder(0.06, (x, s * 0.11, 0.0), (x, s * 0.11, 0.5), dark) for x in (-0.25, 0.25) for s in (-1, 1)]
    parts += [cylinder(0.04, (-0.36, 0, 0.55), (-0.56, 0, 0.75), dark)]
    return normalise(_turned(union(parts), -40))


def pierced_box() -> Mesh:
    """A purple box with a square hole through it."""
    box = block((0.45, 0.9, 0.8), (0, 0, 0), (0.55, 0.3, 0.7))
    hole = block((2.0, 0.5, 0.42), (0, 0, 0), (0.9, 0.9, 0.4))
    return normalise(_turned(difference(box, hole), 35))


SHAPES = {"mug": mug, "table": table, "torus": torus, "animal": animal, "pierced_box": pierced_box}


def _turned(mesh: Mesh, azimuth_deg: float) -> Mesh:
    """Turned about z, so that no side is parallel to the voxel grid."""
    import trimesh

    mesh.apply_transform(trimesh.transformations.rotation_matrix(numpy.radians(azimuth_deg), [0, 0, 1]))
    return mesh
