"""Perturb and denoise: the one step that all score guidances share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zero3d.interfaces import Teacher
from zero3d.values import Cameras, Step, View
from zero3d_score.space import to_teacher

LARGEST_SCALE = 1000.0
"""Of a guidance scale, either way: ten times the largest published one."""
SCALE_MEANS = "the s of uncond + s (cond - uncond); code that writes s - 1 has one less"


@dataclass(frozen=True)
class Perturbed:
    """y: the view in the teacher's space; noised = y + sigma n; x0 = D(noised); all (B, h, w, C). sigma and t are (B,)."""

    y: Tensor
    noised: Tensor
    x0: Tensor
    sigma: Tensor
    t: Tensor
    pull_back: Callable[[Tensor], Tensor]


def perturb(
    view: View, cameras: Cameras, step: Step, teacher: Teacher, t_range: tuple[int, int], guidance_scale: float
) -> Perturbed:
    """Noise the view at a timestep uniform in [low, high) and ask the teacher for its x0.

    Draws from the streams "sigma" and "noise".
    """
    y, pull_back = to_teacher(view.image.detach(), teacher.denoiser)
    t = torch.randint(*t_range, (len(y),), generator=step.generator("sigma"))
    sigma = teacher.denoiser.sigmas[t].to(y)
    noise = torch.randn(y.shape, generator=step.generator("noise")).to(y)
    noised = y + sigma[:, None, None, None] * noise
    x0 = teacher.denoise(noised, sigma, cameras, guidance_scale)
    return Perturbed(y, noised, x0, sigma, t, pull_back)


def pictures(p: Perturbed) -> dict[str, Tensor]:
    """What can be shown of a perturbation, in the teacher's space."""
    return {"view": p.y, "noised": p.noised, "denoised": p.x0}


def figures(p: Perturbed) -> dict[str, float]:
    """What is worth logging of a perturbation."""
    return {"sigma": float(p.sigma.mean()), "distance": float((p.x0 - p.y).abs().mean())}
