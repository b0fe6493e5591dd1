"""From pure noise to a picture: the published demo's sampler, or any of diffusers' schedulers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor

from zero3d.diffusion import ddim, eps_from_x0, stable_diffusion_sigmas, to_variance_preserving
from zero3d.errors import RecipeError
from zero3d.interfaces import Teacher
from zero3d.values import Cameras
from zero3d_views.schedulers import make_scheduler

LEAST_STEPS = 3
"""With fewer, dropping the demo's largest timestep leaves nothing to start from."""


@dataclass(frozen=True)
class Request:
    """B pictures of one batch: where from, and each one's own random stream (CPU)."""

    cameras: Cameras
    generators: Sequence[torch.Generator]


class Sampler(Protocol):
    """Draws a batch."""

    calls: int
    """Network evaluations a batch takes."""

    @property
    def eta(self) -> float | None:
        """The share of fresh noise, where it is a choice."""

    def sample(self, teacher: Teacher, request: Request, guidance_scale: float, tick: Callable[[], None]) -> Tensor:
        """(B, h, w, C) in the denoiser's image space; `tick` after each evaluation."""


def demo_timesteps(steps: int) -> list[int]:
    """The demo's timesteps, ascending: every (1000 // steps)-th plus 1, and the largest of them dropped.

    50 gives 49 of them, 1 to 961; 75 gives 76, 1 to 976. (cvlab-columbia/zero123, ldm/models/diffusion/ddim.py.)

    Raises:
        RecipeError: fewer than three steps or more than 1000.
    """
    if not LEAST_STEPS <= steps <= 1000:
        raise RecipeError(f"--steps: {steps}; {LEAST_STEPS} to 1000")
    return [t + 1 for t in range(0, 1000, 1000 // steps)][:-1]


class DemoSampler:
    """The demo's: DDIM over `demo_timesteps`, from unit noise in the variance-preserving form, to alpha_bar[0]."""

    def __init__(self, steps: int, eta: float) -> None:
        """`eta`: 0 deterministic, 1 (the demo's) with as much fresh noise as DDPM."""
        self.timesteps = demo_timesteps(steps)
        self.eta = eta
        self.calls = len(self.timesteps)

    def sample(self, teacher: Teacher, request: Request, guidance_scale: float, tick: Callable[[], None]) -> Tensor:
        """(B, h, w, C)."""
        denoiser = teacher.denoiser
        space = _Space(teacher)
        levels = denoiser.sigmas[torch.tensor([0, *self.timesteps])]
        first = space.noised(_noise(teacher, request), levels[-1] / denoiser.unit)

        def x0_of(noised: Tensor, sigma: Tensor) -> Tensor:
            x0 = teacher.denoise(noised, sigma.expand(len(noised)), request.cameras, guidance_scale)
            tick()
            return x0

        x = ddim(x0_of, first, levels.flip(0).to(first), self.eta, lambda: _noise(teacher, request))
        return space.clean(x, levels[0] / denoiser.unit)


class SchedulerSampler:
    """Any of diffusers' schedulers over Stable Diffusion's noise levels; only the noisy part is scaled by it."""

    def __init__(self, name: str, steps: int, eta: float | None = None) -> None:
        """`eta`: of a scheduler that takes one (None: its own default).

        Raises:
            RecipeError: no such scheduler, it cannot follow these noise levels, or takes no eta.
        """
        self._make = lambda: make_scheduler(name, steps)
        self.eta = eta
        scheduler = self._make()
        self.calls = len(scheduler.timesteps)
        if eta is not None and "eta" not in inspect.signature(scheduler.step).parameters:
            raise RecipeError(f"--eta: {eta:g}, but {name} takes none; leave --eta out")

    def sample(self, teacher: Teacher, request: Request, guidance_scale: float, tick: Callable[[], None]) -> Tensor:
        """(B, h, w, C)."""
        scheduler = self._make()  # it counts its steps: a new one for each batch
        space = _Space(teacher)
        sigmas = stable_diffusion_sigmas().numpy()
        latent = _noise(teacher, request) * float(scheduler.init_noise_sigma)
        for t in scheduler.timesteps:
            sigma = torch.tensor(numpy.interp(float(t), range(len(sigmas)), sigmas), dtype=latent.dtype)
            fed = scheduler.scale_model_input(latent, t)
            x = space.noised(fed, sigma)
            level = (sigma * teacher.denoiser.unit).to(x).expand(len(x))
            eps = eps_from_x0(x, teacher.denoise(x, level, request.cameras, guidance_scale), level)
            latent = self._step(scheduler, eps, t, latent, request.generators)
            tick()
        return space.centre + space.unit * latent

    def _step(
        self, scheduler: Any, eps: Tensor, t: Tensor, latent: Tensor, generators: Sequence[torch.Generator]
    ) -> Tensor:
        """One step of diffusers'; its pictures have channels second, its random streams are ours where it has any."""
        options: dict[str, Any] = {} if self.eta is None else {"eta": self.eta}
        if "generator" in inspect.signature(scheduler.step).parameters:
            options["generator"] = list(generators)
        moved: Tensor = scheduler.step(eps.permute(0, 3, 1, 2), t, latent.permute(0, 3, 1, 2), **options).prev_sample
        return moved.permute(0, 2, 3, 1)


@dataclass(frozen=True)
class _Space:
    """Between the denoiser's image space and a variance-preserving model's."""

    teacher: Teacher

    @property
    def unit(self) -> float:
        return self.teacher.denoiser.unit

    @property
    def centre(self) -> float:
        return self.teacher.denoiser.centre

    def noised(self, preserving: Tensor, sigma: Tensor) -> Tensor:
        """sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) n -> x0 + sigma n, in the denoiser's units."""
        return self.centre + self.unit * preserving * (1 + sigma.to(preserving) ** 2).sqrt()

    def clean(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The inverse: what the original takes for the picture still has its last level's variance."""
        preserving = to_variance_preserving((x - self.centre) / self.unit, sigma.to(x).expand(len(x)))
        return self.centre + self.unit * preserving


def _noise(teacher: Teacher, request: Request) -> Tensor:
    """Unit noise, each picture's from its own stream, so that batches do not matter."""
    denoiser = teacher.denoiser
    shape = (denoiser.resolution, denoiser.resolution, denoiser.channels)
    drawn = torch.stack([torch.randn(shape, generator=generator) for generator in request.generators])
    return drawn.to(request.cameras.camera_to_world.device)
