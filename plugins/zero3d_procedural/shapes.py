"""Building blocks: closed, outward-oriented triangle meshes (trimesh.Trimesh), z up, one colour each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import trimesh

Mesh = Any
"""A trimesh.Trimesh: its `visual` is typed as a union of classes that share nothing, so we do not annotate it."""
Vector = Sequence[float] | numpy.ndarray
Colour = Vector


def coloured(mesh: Mesh, colour: Colour) -> Mesh:
    """Give every face one RGB colour in [0, 1] and turn the mesh outwards."""
    if mesh.volume < 0:
        mesh.invert()
    rgba = numpy.append(numpy.round(255 * numpy.clip(colour, 0, 1)), 255).astype(numpy.uint8)
    mesh.visual = trimesh.visual.ColorVisuals(mesh, face_colors=numpy.tile(rgba, (len(mesh.faces), 1)))
    return mesh


def block(size: Vector, centre: Vector, colour: Colour) -> Mesh:
    """An axis-aligned box."""
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(centre)
    return coloured(mesh, colour)


def cylinder(radius: float, start: Vector, end: Vector, colour: Colour, sections: int = 24) -> Mesh:
    """A capped cylinder between two points."""
    return coloured(trimesh.creation.cylinder(radius, segment=numpy.array([start, end]), sections=sections), colour)


def ball(radii: Vector, centre: Vector, colour: Colour) -> Mesh:
    """An ellipsoid."""
    mesh = trimesh.creation.icosphere(subdivisions=3)
    mesh.apply_scale(radii)
    mesh.apply_translation(centre)
    return coloured(mesh, colour)


def superquadric(radii: Vector, exponents: tuple[float, float], colour: Colour) -> Mesh:
    """A ball whose unit sphere is bent towards a box (exponents below 1) or a star (above 1)."""
    mesh = trimesh.creation.icosphere(subdivisions=4)
    x, y, z = mesh.vertices.T
    longitude, latitude = numpy.arctan2(y, x), numpy.arcsin(numpy.clip(z, -1, 1))

    def power(value: numpy.ndarray, exponent: float) -> numpy.ndarray:
        return numpy.sign(value) * numpy.abs(value) ** exponent

    e1, e2 = exponents
    flat = power(numpy.cos(latitude), e1)
    points = [
        flat * power(numpy.cos(longitude), e2),
        flat * power(numpy.sin(longitude), e2),
        power(numpy.sin(latitude), e1),
    ]
    mesh.vertices = numpy.stack(points, axis=1) * radii
    return coloured(mesh, colour)


def lathe(profile: numpy.ndarray, colour: Colour, sections: int = 40) -> Mesh:
    """A closed profile (K, 2) of (radius, height), revolved about z; it starts and ends on the axis, or is a loop."""
    angles = numpy.linspace(0, 2 * numpy.pi, sections, endpoint=False)
    loop = profile[0, 0] > 1e-9
    rings = profile if loop else profile[1:-1]
    circle = numpy.stack([numpy.cos(angles), numpy.sin(angles)], axis=1)
    vertices = [numpy.column_stack([radius * circle, numpy.full(sections, height)]) for radius, height in rings]
    if not loop:
        vertices += [numpy.array([[0, 0, profile[0, 1]]]), numpy.array([[0, 0, profile[-1, 1]]])]
    faces = _stitched(len(rings), sections, closed=loop)
    return coloured(trimesh.Trimesh(numpy.concatenate(vertices), faces, process=False), colour)


def tube(path: numpy.ndarray, radius: float, colour: Colour, closed: bool = False, sections: int = 12) -> Mesh:
    """A round tube along points (K, 3), capped unless closed."""
    ahead = numpy.roll(path, -1, axis=0) - numpy.roll(path, 1, axis=0)
    if not closed:
        ahead[0], ahead[-1] = path[1] - path[0], path[-1] - path[-2]
    ahead /= numpy.linalg.norm(ahead, axis=1, keepdims=True)
    side = numpy.cross(ahead[0], [0.31, 0.47, 0.83])
    angles = numpy.linspace(0, 2 * numpy.pi, sections, endpoint=False)
    vertices = []
    for point, direction in zip(path, ahead, strict=True):
        side = side - direction * (side @ direction)  # carried along, so that the tube does not twist
        side /= numpy.linalg.norm(side)
        other = numpy.cross(direction, side)
        vertices.append(point + radius * (numpy.outer(numpy.cos(angles), side) + numpy.outer(numpy.sin(angles), other)))
    if not closed:
        vertices += [path[:1], path[-1:]]
    faces = _stitched(len(path), sections, closed)
    return coloured(trimesh.Trimesh(numpy.concatenate(vertices), faces, process=False), colour)


def loft(
    centres: numpy.ndarray, widths: numpy.ndarray, heights: numpy.ndarray, exponent: float, colour: Colour
) -> Mesh:
    """A closed body of K superelliptic sections across x, at centres (K, 3) with half-widths (y) and half-heights (z).

    `exponent`: 1 for ellipses, towards 0 for rectangles.
    """
    sections = 28
    angles = numpy.linspace(0, 2 * numpy.pi, sections, endpoint=False)
    y, z = (numpy.sign(part) * numpy.abs(part) ** exponent for part in (numpy.cos(angles), numpy.sin(angles)))
    rings = [
        centre + numpy.stack([0 * y, width * y, height * z], axis=1)
        for centre, width, height in zip(centres, widths, heights, strict=True)
    ]
    vertices = numpy.concatenate([*rings, centres[:1], centres[-1:]])
    return coloured(trimesh.Trimesh(vertices, _stitched(len(centres), sections, closed=False), process=False), colour)


def _stitched(count: int, sections: int, closed: bool) -> list[tuple[int, int, int]]:
    """Faces between `count` rings of `sections` vertices: a loop, or capped by the two vertices after the last ring."""
    faces: list[tuple[int, int, int]] = []
    for ring in range(count if closed else count - 1):
        a, b = ring * sections, (ring + 1) % count * sections
        for k in range(sections):
            n = (k + 1) % sections
            faces += [(a + k, a + n, b + n), (a + k, b + n, b + k)]
    if not closed:
        low, high, last = count * sections, count * sections + 1, (count - 1) * sections
        for k in range(sections):
            n = (k + 1) % sections
            faces += [(low, n, k), (last + k, last + n, high)]
    return faces


def arc(centre: Vector, radii: tuple[float, float], start: float, end: float, count: int = 20) -> numpy.ndarray:
    """Points (count, 3) of an ellipse in the x-z plane, angles in radians from +x towards +z."""
    t = numpy.linspace(start, end, count)
    ring = numpy.stack([radii[0] * numpy.cos(t), numpy.zeros(count), radii[1] * numpy.sin(t)], axis=1)
    return ring + numpy.asarray(centre)


def join(parts: Sequence[Mesh]) -> Mesh:
    """The parts as one mesh; they may overlap (inside is where the winding number is at least 1)."""
    starts = numpy.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = numpy.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)])
    joined: Any = trimesh.Trimesh(numpy.concatenate([part.vertices for part in parts]), faces, process=False)
    rgba = numpy.concatenate([part.visual.face_colors for part in parts])
    joined.visual = trimesh.visual.ColorVisuals(joined, face_colors=rgba)
    return joined


def union(parts: Sequence[Mesh]) -> Mesh:
    """The parts as one closed surface without inner walls; every place keeps the colour of the part it came from."""
    merged: Any = trimesh.boolean.union([part.copy() for part in parts], engine="manifold")
    return recoloured(merged, parts)


def difference(solid: Mesh, tool: Mesh) -> Mesh:
    """What is left of `solid` outside `tool`; the cut has the tool's colours."""
    cut: Any = trimesh.boolean.difference([solid.copy(), tool.copy()], engine="manifold")
    return recoloured(cut, [solid, tool])


def recoloured(mesh: Mesh, sources: Sequence[Mesh], size: float = 0.05, samples: int = 40_000) -> Mesh:
    """`mesh` in faces no larger than `size`, each in the colour of the nearest point of any source's surface."""
    from scipy.spatial import cKDTree

    fine: Any = mesh.subdivide_to_size(size)
    points, colours = [], []
    for source in sources:
        places, faces = trimesh.sample.sample_surface(source, samples, seed=0)
        points.append(places)
        colours.append(source.visual.face_colors[faces])
    nearest = cKDTree(numpy.concatenate(points)).query(fine.triangles_center)[1]
    fine.visual = trimesh.visual.ColorVisuals(fine, face_colors=numpy.concatenate(colours)[nearest])
    return fine


def banded(mesh: Mesh, edges: Sequence[float], colours: Sequence[Colour]) -> Mesh:
    """Each face in the colour of its centre's height band; `colours` has one more than `edges`."""
    band = numpy.searchsorted(edges, mesh.triangles_center[:, 2])
    rgba = numpy.column_stack([numpy.round(255 * numpy.asarray(colours))[band], numpy.full(len(band), 255)])
    mesh.visual = trimesh.visual.ColorVisuals(mesh, face_colors=rgba.astype(numpy.uint8))
    return mesh
