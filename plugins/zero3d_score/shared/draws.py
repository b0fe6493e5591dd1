"""The random numbers of a score guidance, and the levels they name."""

from __future__ import annotations

import torch
from torch import Tensor

from zero3d.interfaces import Denoiser
from zero3d.values import Step


def normal(like: Tensor, step: Step, stream: str = "noise") -> Tensor:
    """Standard normal numbers of the shape, type and device of `like`."""
    return torch.randn(like.shape, generator=step.generator(stream)).to(like)


def timesteps(views: int, t_range: tuple[int, int], group: int, step: Step) -> Tensor:
    """(views,) uniform in [low, high), one for each `group` of views that are denoised jointly. Stream "sigma"."""
    return torch.randint(*t_range, (views // group,), generator=step.generator("sigma")).repeat_interleave(group)


def levels(denoiser: Denoiser, t: Tensor | list[int], like: Tensor) -> Tensor:
    """The noise levels of timesteps `t`, of the type and device of `like`."""
    return denoiser.sigmas[torch.as_tensor(t)].to(like)


def first_noised(denoiser: Denoiser, level: Tensor, noise: Tensor, unit: float | None = None) -> Tensor:
    """Where a sampler begins, (B, h, w, C): the prior N(centre, unit^2) at noise `level`, of standard normal `noise`.

    centre + sqrt(unit^2 + level^2) noise, a network's standard normal input in variance-preserving form; `unit` is the
    denoiser's, or 0: the noise alone.
    """
    spread = denoiser.unit if unit is None else unit
    return denoiser.centre + (spread**2 + level**2).sqrt() * noise


def uniform(step: Step, stream: str) -> float:
    """One number, uniform in [0, 1)."""
    return float(torch.rand((), generator=step.generator(stream)))
