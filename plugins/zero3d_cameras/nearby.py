"""What the samplers share: options, and the camera close to another."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from zero3d.geometry import look_at
from zero3d.interfaces import CameraSampler
from zero3d.values import Cameras, Step


@dataclass
class SamplerConfig:
    """resolution: side of the views, pixels of the field's image space. views: novel views a step.

    near_offset: how far a near view's camera moves, world units (0.05 in Zero-1-to-3).
    """

    resolution: int = 64
    views: int = 1
    near_offset: float = 0.05

    def __post_init__(self) -> None:
        if not 2 <= self.resolution <= 4096:
            raise ValueError(f"resolution: {self.resolution}; 2 to 4096 pixels")
        if not 1 <= self.views <= 10_000:
            raise ValueError(f"views: {self.views}; 1 to 10000")
        if not 0 < self.near_offset <= 1:
            raise ValueError(f"near_offset: {self.near_offset}; above 0, at most 1 world unit")


class NearbySampler(CameraSampler):
    """A sampler whose near views stand a fixed distance away, in a random direction, and look at the origin."""

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__(config)
        self.resolution, self.views = config.resolution, config.views

    def near(self, cameras: Cameras, step: Step) -> Cameras:
        """eye' = eye + near_offset * n / |n|, n ~ N(0, I) (3drec/run_zero123.py)."""
        direction = torch.randn(len(cameras), 3, generator=step.generator("near")).to(cameras.position)
        eye = cameras.position + self.config.near_offset * torch.nn.functional.normalize(direction, dim=-1)
        return replace(cameras, camera_to_world=look_at(eye))
