"""CameraSampler: c ~ p(c), from where the next step looks at the object."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

import torch

from zero3d.geometry import look_at
from zero3d.interfaces.component import Component
from zero3d.values import Cameras, Step


class CameraSampler(Component):
    """Draws the cameras of a step; their number and size may change over a run."""

    kind: ClassVar[str] = "camera_sampler"
    resolution: int
    """Side of the square views, in pixels of the field's image space; the largest, if it changes over a run."""
    views: int
    """B: how many novel views a step draws; the most, if it changes over a run."""
    group: int = 1
    """Its views come in groups of so many: one elevation, distance and field of view, azimuths in equal steps."""
    near_offset: float = 0.05
    """How far a near view's camera moves, world units (0.05 in Zero-1-to-3)."""

    @abstractmethod
    def sample(self, step: Step) -> Cameras:
        """The B novel cameras of this step."""

    def pixels(self, total: int) -> int:
        """The most pixels that one step's novel views have together, in a run of `total` steps.

        views * resolution^2, which is too many where the one grows while the other shrinks.
        """
        return self.views * self.resolution**2

    def near(self, cameras: Cameras, step: Step) -> Cameras:
        """One camera close to each of `cameras` that looks at the origin, for terms that need "near_view".

        eye' = eye + near_offset * n / |n|, n ~ N(0, I) (3drec/run_zero123.py).
        """
        direction = torch.randn(len(cameras), 3, generator=step.generator("near")).to(cameras.position)
        eye = cameras.position + self.near_offset * torch.nn.functional.normalize(direction, dim=-1)
        return replace(cameras, camera_to_world=look_at(eye))
