"""How much light reaches the voxels of a grid, from all around it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy

DIRECTIONS = 72
LOWEST_DEG = -25.0
"""Elevation from which on things are looked at, up to the zenith: nobody sees them from straight below."""


def transmittances(density: numpy.ndarray, edges: numpy.ndarray) -> Iterator[tuple[numpy.ndarray, numpy.ndarray]]:
    """For each of DIRECTIONS, the transmittance from outside to each voxel, and across the voxel itself; (X, Y, Z) each.

    density: (X, Y, Z), per unit of length. edges: (3,), a voxel's sides. Directions wind up in golden angles, even by
    elevation, so that some look into a hollow. Light goes from slab to slab of voxels across the axis that it is nearest to,
    and meets the nearest voxel of each.
    """
    for direction in _directions():
        along = direction / edges
        axis = int(numpy.abs(along).argmax())
        length = float(1 / abs(along[axis]))
        passed = numpy.exp(density * numpy.float32(-length))
        slabs = numpy.moveaxis(passed, axis, 0)[:: -1 if along[axis] > 0 else 1]
        moved = numpy.rint(-numpy.delete(along, axis)[:, None] * length * numpy.arange(len(slabs))).astype(int)
        rows, columns = slabs.shape[1:]
        high, wide = numpy.abs(moved).max(axis=1)
        lines = numpy.ones((rows + 2 * high, columns + 2 * wide), numpy.float32)
        reached = numpy.empty_like(passed)
        into = numpy.moveaxis(reached, axis, 0)[:: -1 if along[axis] > 0 else 1]
        for slab, own, (down, right) in zip(into, slabs, moved.T, strict=True):
            line = lines[high - down : high - down + rows, wide - right : wide - right + columns]
            slab[:] = line
            line *= own
        yield reached, passed


def mean_weights(density: numpy.ndarray, edges: numpy.ndarray) -> numpy.ndarray:
    """(X, Y, Z): the weight of a voxel's colour in volume rendering, in the mean of all directions."""
    total = numpy.zeros(density.shape, numpy.float32)
    for reached, passed in transmittances(density, edges):
        total += reached * (1 - passed)
    return total / DIRECTIONS


def hidden(density: numpy.ndarray, edges: numpy.ndarray, dim: float, share: float) -> numpy.ndarray:
    """(X, Y, Z), boolean: voxels to which more than a share `dim` of the light comes from less than `share` of all sides.

    As most of the 3 x 3 x 3 voxels around: lines that end in rounded places leave single ones amiss.
    """
    from scipy.ndimage import uniform_filter

    sides = sum((reached > dim).astype(numpy.int16) for reached, _ in transmittances(density, edges))
    dark = numpy.asarray(sides < share * DIRECTIONS, numpy.float32)
    return numpy.asarray(uniform_filter(dark, 3, mode="constant") > 0.5)


def _directions() -> numpy.ndarray:
    """(DIRECTIONS, 3): unit vectors towards the light."""
    shares = (numpy.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    elevations = numpy.radians(LOWEST_DEG + (90 - LOWEST_DEG) * shares)
    turns = math.pi * (3 - math.sqrt(5)) * numpy.arange(DIRECTIONS)
    across = numpy.cos(elevations)
    return numpy.stack([across * numpy.cos(turns), across * numpy.sin(turns), numpy.sin(elevations)], axis=-1)
