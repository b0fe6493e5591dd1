"""Patterns that fill space, so that every view of an object shows the same: what prints, grain and dirt do to colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
import torch
from numpy.random import Generator
from torch import Tensor

from zero3d_procedural.families.surface import colour

PLAIN = 0.35
"""Share of objects without a pattern."""
WAVES = 8
"""Plane waves that a pattern is made of, at most."""
STRIPES, CHECKS, BLOTCHES = range(3)
LAYOUT = {"kind": 1, "strength": 1, "sharp": 1, "wide": 2, "other": 3, "phases": WAVES, "waves": 3 * WAVES}
"""What a pattern's numbers are, in their order. wide: above which height a stripe begins, of two systems of them."""
NUMBERS = sum(LAYOUT.values())


@dataclass(frozen=True)
class Pattern:
    """One pattern as its NUMBERS; a `Texture` for ray casting."""

    numbers: numpy.ndarray

    def __call__(self, points: numpy.ndarray, colours: numpy.ndarray) -> numpy.ndarray:
        given = (torch.from_numpy(numpy.asarray(part, dtype=float))[None] for part in (points, colours, self.numbers))
        return patterned(*given)[0].numpy()


def patterned(points: Tensor, colours: Tensor, numbers: Tensor) -> Tensor:
    """Colours (B, N, 3) at points (B, N, 3) of B objects, as the patterns (B, NUMBERS) change them."""
    kind, strength, sharp, wide, other, phases, waves = numbers[:, None].split(list(LAYOUT.values()), dim=-1)
    height = torch.sin(points @ waves.reshape(-1, WAVES, 3).transpose(1, 2) + phases)
    first, second = (height[..., :2] > wide).to(points).unbind(-1)
    smooth = 0.5 + 0.5 * torch.tanh(sharp[..., 0] * height.sum(dim=-1) / 2)
    kind = kind[..., 0]
    shape = torch.where(kind == BLOTCHES, smooth, torch.where(kind == CHECKS, (first - second).abs(), first))
    return torch.lerp(colours, other, strength * shape[..., None])


def random_texture(rng: Generator) -> Pattern | None:
    """Stripes, checks, blotches or grain in another colour, of any strength; None for a plain object."""
    if rng.random() < PLAIN:
        return None
    drawn = rng.integers(4)
    other, strength = colour(rng), rng.uniform(0.15, 0.9)
    if drawn == 0:
        numbers = _bands(STRIPES, _stripes(rng, (15, 90)))
    elif drawn == 1:
        numbers = _bands(CHECKS, _stripes(rng, (10, 50)), _stripes(rng, (10, 50)))
    elif drawn == 2:
        numbers = _blotches(rng, (4, 25), sharp=rng.uniform(1, 8))
    else:
        numbers, strength = _blotches(rng, (40, 140), sharp=1.0), 0.5 * strength
    return Pattern(_packed({**numbers, "strength": strength, "other": other}))


def _stripes(rng: Generator, frequencies: tuple[float, float]) -> tuple[numpy.ndarray, float, float]:
    """A wave of a random direction, in radians a world unit; its phase, and above which height a stripe begins."""
    frequency = rng.uniform(*frequencies)
    direction, phase, wide = rng.normal(size=3), rng.uniform(0, 6.3), rng.uniform(-0.7, 0.7)
    return direction * frequency / numpy.linalg.norm(direction), phase, wide


def _bands(kind: int, *stripes: tuple[numpy.ndarray, float, float]) -> dict[str, Any]:
    waves, phases, wide = zip(*stripes, strict=True)
    return {"kind": kind, "waves": waves, "phases": phases, "wide": wide}


def _blotches(rng: Generator, frequencies: tuple[float, float], sharp: float) -> dict[str, Any]:
    """A smooth random function with values in [0, 1]; the sharper, the more of them are 0 or 1."""
    waves = rng.normal(size=(WAVES, 3))
    waves *= (rng.uniform(*frequencies, WAVES) / numpy.linalg.norm(waves, axis=1))[:, None]
    return {"kind": BLOTCHES, "waves": waves, "phases": rng.uniform(0, 6.3, WAVES), "sharp": sharp}


def _packed(named: dict[str, Any]) -> numpy.ndarray:
    """(NUMBERS,) in LAYOUT's order; what is missing is 0."""
    flat = {name: numpy.ravel(numpy.asarray(named.get(name, ()), dtype=float)) for name in LAYOUT}
    return numpy.concatenate([numpy.pad(flat[name], (0, size - len(flat[name]))) for name, size in LAYOUT.items()])
