"""Cameras in ranges of elevation, azimuth, distance and field of view."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.geometry import DEFAULT_DISTANCE, orbit
from zero3d.values import PUBLISHED_FOV, Cameras, Step
from zero3d_cameras.options import Sampler, SamplerConfig

PUBLISHED_DEG = math.degrees(PUBLISHED_FOV)
LIMITS = {"elevation_deg": (-90, 90), "azimuth_deg": (-360, 360), "distance": (0.1, 100), "fov_deg": (1, 170)}

LAWS = ("area", "angle", "mixed")


@dataclass
class SphereConfig(SamplerConfig):
    """Options of `sphere`, beside SamplerConfig's.

    elevation_deg, azimuth_deg: [low, high], degrees; azimuth 0 is the input's. distance: [low, high], world units.
    fov_deg: [low, high], degrees across the picture, drawn for each camera; 49.1343 unless given.
    elevation_law: what is uniform in the range: area of the sphere; angle; or mixed, where a coin decides in each step.
    relative_distance: each distance is multiplied by 1 / tan(fov / 2), so that it tells half the width of what the picture
    shows at the origin, whatever the field of view.
    spread: views (or groups) of one step share the azimuth range evenly instead of being independent.
    group: views come in groups of so many that share elevation, distance and field of view, their azimuths in equal steps
    through the azimuth range, for teachers that draw several views together (4 in MVDream). antithetic: the second half of
    the views looks from opposite the first: azimuth + 180, the same elevation, own distance and field of view.
    """

    elevation_deg: list[float] = field(default_factory=lambda: [-10.0, 60.0])
    azimuth_deg: list[float] = field(default_factory=lambda: [-180.0, 180.0])
    distance: list[float] = field(default_factory=lambda: [DEFAULT_DISTANCE, DEFAULT_DISTANCE])
    fov_deg: list[float] = field(default_factory=lambda: [PUBLISHED_DEG, PUBLISHED_DEG])
    elevation_law: str = "area"
    relative_distance: bool = False
    spread: bool = True
    group: int = 1
    antithetic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if len(value) != 2 or not low <= value[0] <= value[1] <= high:
                raise ValueError(f"{name}: {value}; [low, high] within {low} to {high}")
        if self.elevation_law not in LAWS:
            raise ValueError(f"elevation_law: {self.elevation_law!r}; one of {', '.join(LAWS)}")
        if not 1 <= self.group <= 64:
            raise ValueError(f"group: {self.group}; 1 to 64 views")
        counts = [int(knot.value) for knot in self.views.knots]
        for count in counts:
            if count % self.group:
                raise ValueError(f"group: {self.group}; `views` must be a multiple of it, not {count}")
            if self.antithetic and count % 2:
                raise ValueError(f"antithetic: true; it needs an even number of `views`, not {count}")
        if self.antithetic:
            if self.group > 1:
                raise ValueError(f"antithetic: true; it needs group 1, not {self.group}")
            if self.azimuth_deg[1] - self.azimuth_deg[0] != 360:
                raise ValueError(f"antithetic: true; azimuth_deg {self.azimuth_deg} must be a whole turn, [-180, 180]")


class SphereCameras(Sampler):
    """Directions uniform by area between two elevations, at random distances and fields of view.

    Groups as threestudio's multi-view cameras for MVDream (arXiv 2308.16512): azimuth low + (u + k)/n (high - low) of the
    group's view k; with relative_distance, elevation_law mixed and spread false, their whole law. Antithetic pairs are those
    of multi-view SDI (2026), which found them steadier at equal calls.
    """

    name: ClassVar[str] = "sphere"
    Config: ClassVar[type[Any]] = SphereConfig

    def __init__(self, config: SphereConfig) -> None:
        super().__init__(config)
        self.group = config.group

    def count(self, step: Step) -> int:
        pair = 2 if self.config.antithetic else self.group
        return pair * round(self.config.views(step) / pair)

    def sample(self, step: Step) -> Cameras:
        views = self.count(step)
        poses = views // self.group
        chance = torch.rand(3, poses, generator=step.generator("sphere"))
        elevation = self._elevation(chance[0], step)
        share, distance = chance[1], _between(self.config.distance, chance[2])
        if self.config.spread:
            share = (chance[1, 0] + torch.arange(poses) / poses) % 1
        fov: float | Tensor = PUBLISHED_FOV
        if self.config.fov_deg != [PUBLISHED_DEG, PUBLISHED_DEG]:
            fov = torch.deg2rad(_between(self.config.fov_deg, torch.rand(poses, generator=step.generator("fov"))))
        if self.config.antithetic:
            half = views // 2
            elevation, share = elevation[:half].repeat(2), torch.cat([share[:half], (share[:half] + 0.5) % 1])
        elif self.group > 1:
            elevation, distance = elevation.repeat_interleave(self.group), distance.repeat_interleave(self.group)
            fov = fov.repeat_interleave(self.group) if isinstance(fov, Tensor) else fov
            share = ((share[:, None] + torch.arange(self.group)) / self.group).flatten()
        if self.config.relative_distance:
            distance = distance / torch.tan(torch.as_tensor(fov) / 2)
        return orbit(elevation, _between(self.config.azimuth_deg, share), self.side(step), distance, fov)

    def _elevation(self, share: Tensor, step: Step) -> Tensor:
        """Degrees. Mixed is threestudio's law of random cameras: one coin a step decides for all."""
        law = self.config.elevation_law
        if law == "mixed":
            law = "angle" if torch.rand((), generator=step.generator("elevation")) < 0.5 else "area"
        if law == "angle":
            return _between(self.config.elevation_deg, share)
        low, high = torch.deg2rad(torch.tensor(self.config.elevation_deg)).sin()
        return torch.rad2deg(torch.asin((low + share * (high - low)).clamp(-1, 1)))


def _between(limits: list[float], share: Tensor) -> Tensor:
    return limits[0] + share * (limits[1] - limits[0])
