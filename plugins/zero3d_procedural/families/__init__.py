"""Families of objects. Each takes a numpy Generator and returns a mesh of closed parts, in any size, z up."""

from __future__ import annotations

from collections.abc import Callable

import numpy
from numpy.random import Generator

from zero3d_procedural.families.abstract import composition, heap, letter, lofted, pierced, ring
from zero3d_procedural.families.boxes import open_box, package, stack
from zero3d_procedural.families.creatures import animal, person
from zero3d_procedural.families.furniture import chair, rack, sofa, table
from zero3d_procedural.families.machines import tool, vehicle
from zero3d_procedural.families.surface import rotation
from zero3d_procedural.families.vessels import bottle, lamp, plate, solid_of_revolution, vessel
from zero3d_procedural.shapes import Mesh

FAMILIES: tuple[tuple[Callable[[Generator], Mesh], float], ...] = (
    (solid_of_revolution, 1.0),
    (bottle, 1.0),
    (vessel, 2.2),
    (plate, 0.5),
    (lamp, 0.5),
    (package, 2.2),
    (open_box, 1.2),
    (stack, 0.8),
    (table, 0.7),
    (chair, 0.7),
    (sofa, 0.7),
    (rack, 0.5),
    (animal, 1.3),
    (person, 1.0),
    (vehicle, 1.4),
    (tool, 0.7),
    (lofted, 2.0),
    (heap, 1.3),
    (composition, 1.0),
    (ring, 0.5),
    (pierced, 0.7),
    (letter, 0.5),
)
"""The families with their shares."""


def family_of(seed: int) -> Callable[[Generator], Mesh]:
    """The family that object number `seed` is of, one of FAMILIES."""
    return _begun(seed)[0]


def make_object(seed: int) -> Mesh:
    """Object number `seed`: longest side 1, centred, turned to any azimuth (sometimes to any attitude)."""
    from zero3d.mesh_files import normalise

    family, rng = _begun(seed)
    mesh = family(rng)
    if rng.random() < 0.3:
        mesh.apply_scale(rng.uniform(0.6, 1.4, 3))
    mesh.apply_transform(rotation(rng, upright=rng.random() < 0.92))
    return normalise(mesh, in_place=True)


def _begun(seed: int) -> tuple[Callable[[Generator], Mesh], Generator]:
    """Object number `seed`'s family, and the generator that draws the rest of it."""
    rng = numpy.random.default_rng([20231, seed])
    shares = numpy.array([share for _, share in FAMILIES])
    return FAMILIES[rng.choice(len(FAMILIES), p=shares / shares.sum())][0], rng
