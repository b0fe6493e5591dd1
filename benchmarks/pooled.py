"""Teachers for `algorithms.py` that know an object: true pictures from a pool of cameras, perfect or with errors.

Every picture is drawn once; a step's camera is one of the pool's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy
import torch
from torch import Tensor
from torch.nn import functional

from zero3d.diffusion import broadcast
from zero3d.geometry import orbit
from zero3d.interfaces import COND, NULL, CameraSampler, PixelDenoiser
from zero3d.mesh_views import MeshScene
from zero3d.registry import Registered, Registry
from zero3d.values import Cameras, Step, Subject

CAMERAS = 256
ELEVATION_DEG = (-30.0, 70.0)
DISTANCE = (1.8, 2.1)
GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Flaws:
    """What a teacher's idea of each view has of its own: both smooth over the picture, independent between cameras.

    warp: RMS displacement of its picture, a share of the side (the object spans some 0.6 of it). colour: RMS change of
    the object's colours. width: standard deviation of what it takes for likely about that idea, so that a view with
    little noise is partly let stand. All 0 is the perfect teacher.
    """

    warp: float = 0.0
    colour: float = 0.0
    width: float = 0.0


PERFECT = Flaws()
FLAWED = Flaws(warp=0.03, colour=0.15, width=0.1)


@lru_cache
def pool(resolution: int) -> Cameras:
    """CAMERAS views as recipes/nano.yaml's sampler draws them: evenly by area, azimuths by the golden ratio."""
    number = torch.arange(CAMERAS)
    low, high = (math.sin(math.radians(e)) for e in ELEVATION_DEG)
    elevation = torch.rad2deg(torch.asin(low + (high - low) * (number + 0.5) / CAMERAS))
    chance = torch.rand(CAMERAS, generator=torch.Generator().manual_seed(0))
    return orbit(
        elevation, (360 * GOLDEN * number) % 360, resolution, DISTANCE[0] + (DISTANCE[1] - DISTANCE[0]) * chance
    )


def ideas(scene: MeshScene, resolution: int, flaws: Flaws, seed: int) -> Tensor:
    """The object's picture from each of the pool's cameras as a teacher with these flaws has it, (N, H, W, 3)."""
    view = scene.draw(pool(resolution))
    if flaws == PERFECT:
        return view.image
    generator = torch.Generator().manual_seed(seed)
    smooth = _smooth(CAMERAS, 5, resolution, generator)
    axis = (torch.arange(resolution) + 0.5) / resolution * 2 - 1
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1) + 2 * flaws.warp * smooth[..., :2]
    planes = torch.cat([view.image, view.opacity], dim=-1).permute(0, 3, 1, 2)
    moved = functional.grid_sample(planes, grid, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)
    return (moved[..., :3] + flaws.colour * smooth[..., 2:] * moved[..., 3:]).clamp(0, 1)


def _smooth(count: int, channels: int, size: int, generator: torch.Generator) -> Tensor:
    """Random fields (count, size, size, channels) of RMS 1 that vary over a third of the picture."""
    coarse = torch.randn(count, channels, 4, 4, generator=generator)
    fine = functional.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)
    return (fine / fine.square().mean(dim=(2, 3), keepdim=True).sqrt()).permute(0, 2, 3, 1)


def write_teacher(file: Path, own: Tensor, everyone: Tensor, flaws: Flaws) -> None:
    """A teacher's file. own (N, H, W, 3): its object's pictures; everyone (K, N, H, W, 3): those of all objects."""
    mean = everyone.mean(dim=0)
    spread = float((everyone - mean).square().mean().sqrt())
    numpy.savez(file, own=own.numpy(), mean=mean.numpy(), spread=spread, width=flaws.width)


@dataclass
class PooledConfig:
    """`file`: written by `write_teacher`."""

    file: str


class PooledTeacher(PixelDenoiser):
    """Knows one object from the pool's cameras; without the condition it knows the mean of all objects.

    Both branches are exact denoisers of a Gaussian: D = m + w^2 / (w^2 + sigma^2) (noised - m). With the condition m is
    the object's picture and w the flaws' width (0: D is the true picture, whatever it is shown); without it m is the mean
    of the objects' pictures from that camera, w their standard deviation about it.
    """

    name: ClassVar[str] = "pooled"
    needs: frozenset[str] = frozenset()
    Config: ClassVar[type[Any]] = PooledConfig

    def __init__(self, config: PooledConfig) -> None:
        super().__init__(config)
        with numpy.load(config.file, allow_pickle=False) as file:
            self._means = {COND: torch.from_numpy(file["own"]), NULL: torch.from_numpy(file["mean"])}
            self._widths = {COND: float(file["width"]), NULL: float(file["spread"])}
        self.resolution = self.picture_resolution = self._means[COND].shape[1]
        self._poses = pool(self.resolution).camera_to_world

    def condition(self, subject: Subject) -> None:
        """It knows the object without a picture."""

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        away = (cameras.camera_to_world[:, None] - self._poses).abs().amax(dim=(2, 3))
        least, which = away.min(dim=1)
        if float(least.max()) > 1e-5:
            raise ValueError("a camera that is none of the pool's")
        found = {}
        for branch in branches:
            mean, variance = self._means[branch][which], self._widths[branch] ** 2
            found[branch] = mean + broadcast(variance / (variance + sigma**2), noised) * (noised - mean)
        return found


@dataclass
class PoolConfig:
    """resolution: pixels. views: of a step."""

    resolution: int
    views: int = 1


class PoolCameras(CameraSampler):
    """Cameras of the pool; several of one step stand in equal sectors of azimuth."""

    name: ClassVar[str] = "pool"
    Config: ClassVar[type[Any]] = PoolConfig

    def __init__(self, config: PoolConfig) -> None:
        super().__init__(config)
        self.resolution, self.views = config.resolution, config.views

    def sample(self, step: Step) -> Cameras:
        cameras, generator = pool(self.resolution), step.generator("pool")
        turn = cameras.azimuth / (2 * math.pi) + float(torch.rand((), generator=generator))
        sector = ((turn % 1) * self.views).long().clamp(max=self.views - 1)
        chance = torch.rand(CAMERAS, generator=generator)
        chosen = [int((chance * (sector == k)).argmax()) for k in range(self.views)]
        return cameras[torch.tensor(chosen)]


def register(registry: Registry) -> None:
    """Have recipes find both."""
    for component in (PooledTeacher, PoolCameras):
        registry.add(Registered(component, "benchmark", "benchmarks", "0"))
