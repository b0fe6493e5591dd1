"""What families share: colours, patterns, attitudes."""

from __future__ import annotations

import numpy
from numpy.random import Generator

from zero3d_procedural.shapes import Mesh


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


def rotation(rng: Generator, upright: bool) -> numpy.ndarray:
    """A random 4x4 rotation, about z alone if upright."""
    import trimesh

    if upright:
        return trimesh.transformations.rotation_matrix(rng.uniform(0, 2 * numpy.pi), [0, 0, 1])
    return trimesh.transformations.random_rotation_matrix(rng.random(3))
