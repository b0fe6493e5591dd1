"""Five named shapes that reconstruction is measured on: clean closed surfaces with known colours, longest side 1."""

from __future__ import annotations

import numpy

from zero3d.mesh_files import normalise
from zero3d_procedural.shapes import Mesh, arc, ball, block, coloured, cylinder, lathe, tube, union


def mug() -> Mesh:
    """A blue mug with a yellow handle; its wall is 8 % of its height."""
    wall = 0.08
    outer = numpy.array([[0.36, 0.0], [0.38, 0.04], [0.38, 1.0]])
    inner = numpy.array([[0.38 - wall, 1.0], [0.38 - wall, wall]])
    cup = lathe(numpy.concatenate([[[0, 0]], outer, inner, [[0, wall]]]), (0.2, 0.4, 0.85), 64)
    handle = tube(arc((0.34, 0, 0.52), (0.26, 0.28), -1.55, 1.55), 0.055, (0.95, 0.75, 0.15))
    reach = cylinder(0.38 - wall, (0, 0, wall), (0, 0, 1.2), (0.2, 0.4, 0.85), 64)
    return normalise(_turned(_without(union([cup, handle]), reach), 65))


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
    box = block((0.7, 0.9, 0.7), (0, 0, 0), (0.55, 0.3, 0.7))
    hole = block((2.0, 0.4, 0.32), (0, 0, 0), (0.9, 0.9, 0.4))
    return normalise(_turned(_without(box, hole), 35))


SHAPES = {"mug": mug, "table": table, "torus": torus, "animal": animal, "pierced_box": pierced_box}


def _without(solid: Mesh, tool: Mesh) -> Mesh:
    """solid minus tool; cut faces keep the solid's nearest colour."""
    import trimesh

    cut = trimesh.boolean.difference([solid, tool.copy()], engine="manifold")
    tones = solid.visual.face_colors
    nearest = trimesh.proximity.closest_point(solid, cut.triangles_center)[2] if len(numpy.unique(tones, axis=0)) > 1 else None
    if nearest is None:
        return coloured(cut, tones[0, :3] / 255)
    cut.visual = trimesh.visual.ColorVisuals(cut, face_colors=tones[nearest])
    return cut


def _turned(mesh: Mesh, azimuth_deg: float) -> Mesh:
    """Turned about z, so that no side is parallel to the voxel grid."""
    import trimesh

    mesh.apply_transform(trimesh.transformations.rotation_matrix(numpy.radians(azimuth_deg), [0, 0, 1]))
    return mesh
