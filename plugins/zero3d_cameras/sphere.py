"""Cameras in ranges of elevation, azimuth and distance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.geometry import DEFAULT_DISTANCE, orbit
from zero3d.values import Cameras, Step
from zero3d_cameras.options import Sampler, SamplerConfig


@dataclass
class SphereConfig(SamplerConfig):
    """Options of `sphere`, beside SamplerConfig's.

    elevation_deg, azimuth_deg: [low, high], degrees; azimuth 0 is the input's. distance: [low, high], world units.
    spread: views of one step share the azimuth range evenly instead of being independent.
    """

    elevation_deg: list[float] = field(default_factory=lambda: [-10.0, 60.0])
    azimuth_deg: list[float] = field(default_factory=lambda: [-180.0, 180.0])
    distance: list[float] = field(default_factory=lambda: [DEFAULT_DISTANCE, DEFAULT_DISTANCE])
    spread: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, low, high in (("elevation_deg", -90, 90), ("azimuth_deg", -360, 360), ("distance", 0.1, 100)):
            value = getattr(self, name)
            if len(value) != 2 or not low <= value[0] <= value[1] <= high:
                raise ValueError(f"{name}: {value}; [low, high] within {low} to {high}")


class SphereCameras(Sampler):
    """Directions uniform by area between two elevations, at random distances."""

    name: ClassVar[str] = "sphere"
    Config: ClassVar[type[Any]] = SphereConfig

    def sample(self, step: Step) -> Cameras:
        chance = torch.rand(3, self.views, generator=step.generator("sphere"))
        low, high = torch.deg2rad(torch.tensor(self.config.elevation_deg)).sin()
        elevation = torch.rad2deg(torch.asin((low + chance[0] * (high - low)).clamp(-1, 1)))
        share = chance[1]
        if self.config.spread:
            share = (chance[1, 0] + torch.arange(self.views) / self.views) % 1
        azimuth = _between(self.config.azimuth_deg, share)
        return orbit(elevation, azimuth, self.resolution, _between(self.config.distance, chance[2]))


def _between(limits: list[float], share: Tensor) -> Tensor:
    return limits[0] + share * (limits[1] - limits[0])
