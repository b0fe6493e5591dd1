"""Cameras and light of the published data set, drawn at random for an object."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy
import torch

from zero3d.geometry import look_at, spherical
from zero3d.values import Cameras
from zero3d_dataset.renderer import AreaLight


@dataclass(frozen=True)
class CameraRule:
    """Where cameras stand. `distance`: lowest and highest, world units, uniform.

    elevation_deg: None for the published rule, a point uniform in the cube [-1, 1]^3 carried to the sphere (so 45
    degrees up and down are over-represented); else lowest and highest elevation, uniform on the sphere between them.
    """

    distance: tuple[float, float] = (1.5, 2.2)
    elevation_deg: tuple[float, float] | None = None

    def draw(self, generator: numpy.random.Generator, views: int, size: int) -> Cameras:
        """Cameras with size x size pixels and the published field of view, looking at the origin."""
        if self.elevation_deg is None:
            points = generator.uniform(-1, 1, (views, 3))
            away = torch.from_numpy(points / numpy.linalg.norm(points, axis=1, keepdims=True))
        else:
            low, high = (math.sin(math.radians(angle)) for angle in self.elevation_deg)
            elevation = numpy.arcsin(generator.uniform(low, high, views))
            azimuth = generator.uniform(0, 2 * math.pi, views)
            away = spherical(torch.from_numpy(elevation), torch.from_numpy(azimuth), torch.ones(views).double())
        eye = away * torch.from_numpy(generator.uniform(*self.distance, (views, 1)))
        return Cameras(look_at(eye), size, size)


def draw_light(generator: numpy.random.Generator) -> AreaLight:
    """Energy 300 to 600, x and y -1 to 1, z 0.5 to 1.5 (the published rendering script)."""
    energy = float(generator.uniform(300, 600))
    x, y = generator.uniform(-1, 1, 2)
    return AreaLight(energy, (float(x), float(y), float(generator.uniform(0.5, 1.5))))


def generator_of(seed: int, uid: str) -> numpy.random.Generator:
    """The random stream of an object: whatever else is drawn, by however many processes, its pictures stay."""
    digest = hashlib.sha256(uid.encode()).digest()
    return numpy.random.default_rng([seed, *numpy.frombuffer(digest[:16], dtype="<u4").tolist()])
