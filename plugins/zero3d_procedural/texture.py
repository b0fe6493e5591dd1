"""Patterns that fill space, so that every view of an object shows the same: what prints, grain and dirt do to colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy
from numpy.random import Generator

from zero3d.mesh_views import Texture
from zero3d_procedural.families.surface import colour

PLAIN = 0.35
"""Share of objects without a pattern."""


def random_texture(rng: Generator) -> Texture | None:
    """Stripes, checks, blotches or grain in another colour, of any strength; None for a plain object."""
    if rng.random() < PLAIN:
        return None
    kind = rng.integers(4)
    other, strength = colour(rng), rng.uniform(0.15, 0.9)
    if kind == 0:
        shape = _stripes(rng, rng.uniform(15, 90))
    elif kind == 1:
        first, second = _stripes(rng, rng.uniform(10, 50)), _stripes(rng, rng.uniform(10, 50))
        shape = lambda points: numpy.abs(first(points) - second(points))  # noqa: E731
    elif kind == 2:
        shape = _blotches(rng, (4, 25), sharp=rng.uniform(1, 8))
    else:
        shape, strength = _blotches(rng, (40, 140), sharp=1.0), 0.5 * strength

    def drawn(points: numpy.ndarray, colours: numpy.ndarray) -> numpy.ndarray:
        share = strength * shape(points)[:, None]
        mixed: numpy.ndarray = colours * (1 - share) + other * share
        return mixed

    return drawn


def _stripes(rng: Generator, frequency: float) -> Callable[[numpy.ndarray], numpy.ndarray]:
    """0 or 1 in turns along a random direction; `frequency` in radians a world unit."""
    direction, phase, wide = rng.normal(size=3), rng.uniform(0, 6.3), rng.uniform(-0.7, 0.7)
    direction *= frequency / numpy.linalg.norm(direction)
    return lambda points: (numpy.sin(points @ direction + phase) > wide).astype(float)


def _blotches(
    rng: Generator, frequencies: tuple[float, float], sharp: float
) -> Callable[[numpy.ndarray], numpy.ndarray]:
    """A smooth random function with values in [0, 1]; the sharper, the more of them are 0 or 1."""
    waves = rng.normal(size=(8, 3))
    waves *= (rng.uniform(*frequencies, 8) / numpy.linalg.norm(waves, axis=1))[:, None]
    phases = rng.uniform(0, 6.3, 8)
    return lambda points: 0.5 + 0.5 * numpy.tanh(sharp * numpy.sin(points @ waves.T + phases).sum(axis=1) / 2)
