"""The camera distribution of Zero-1-to-3's 3D reconstruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from zero3d.geometry import look_at
from zero3d.values import Cameras, Step
from zero3d_cameras.options import Sampler, SamplerConfig

RADIUS = (1.8, 2.2)
HEIGHT = (-0.5, 2.2)


@dataclass
class PublishedConfig(SamplerConfig):
    """Options of `zero123`: SamplerConfig's, at the paper's 32 latent pixels."""

    resolution: Any = 32


class PublishedCameras(Sampler):
    """The paper's cameras: direction uniform in a cube then normalised, radius U(1.8, 2.2), height in (-0.5, 2.2).

    3drec/run_zero123.py; not uniform on the sphere: a cube's corners are favoured, as in the original.
    """

    name: ClassVar[str] = "zero123"
    Config: ClassVar[type[Any]] = PublishedConfig

    def sample(self, step: Step) -> Cameras:
        generator, count, size = step.generator("cube"), self.count(step), self.side(step)
        eyes: list[torch.Tensor] = []
        while len(eyes) < count:
            direction = torch.nn.functional.normalize(2 * torch.rand(3, generator=generator) - 1, dim=-1)
            radius = RADIUS[0] + (RADIUS[1] - RADIUS[0]) * torch.rand(1, generator=generator)
            if HEIGHT[0] < float(radius * direction[2]) < HEIGHT[1]:
                eyes.append(radius * direction)
        return Cameras(look_at(torch.stack(eyes)), size, size)
