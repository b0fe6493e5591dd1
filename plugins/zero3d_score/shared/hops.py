"""Up and down the noise levels in sigma form: deterministic hops either way, DDIM with fresh noise down, SDI's way up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from zero3d.diffusion import ddim_step
from zero3d.interfaces import Denoiser
from zero3d.values import Step
from zero3d_score.shared import draws

Predict = Callable[[Tensor, Tensor], Tensor]
"""x0 (B, h, w, C) of (noised, sigma (B,))."""


def along(
    noised: Tensor, t: Sequence[int], denoiser: Denoiser, predict: Predict, step: Step | None = None, eta: float = 0.0
) -> tuple[Tensor, Tensor]:
    """From timestep t[0] to t[-1], one hop a pair, all views at one level: (noised at t[-1], the last x0).

    A hop is y' = D + (sigma' / sigma) (y - D), up or down: DDIM's, and its inversion's (arXiv 2010.02502, eq. 12 and 14).
    With `eta` above 0 the hops lead down and draw from the stream "hops".
    """
    levels, x0 = draws.levels(denoiser, list(t), noised), noised
    for sigma, following in pairwise(levels):
        x0 = predict(noised, sigma.expand(len(noised)))
        noise = draws.normal(noised, step, "hops") if eta > 0 and step is not None else torch.zeros_like(noised)
        noised = ddim_step(noised, x0, sigma, following, eta, noise)
    return noised, x0


def inverted_with_noise(
    noised: Tensor, t: Sequence[int], denoiser: Denoiser, predict: Predict, step: Step, eta: float
) -> Tensor:
    """From timestep t[0] up to t[-1] as SDI inverts: each hop adds fresh noise and takes none off the old (its eq. 14).

    In variance-preserving form z' = a' D + b' eps + eta v N with v^2 = (1 - ab)/(1 - ab') (1 - ab'/ab). Divided by a',
    with s = sigma / unit, N's factor is eta unit (s / s') sqrt((s'^2 - s^2) (1 + s'^2) / (1 + s^2)). Stream "hops".
    """
    for sigma, following in pairwise(draws.levels(denoiser, list(t), noised)):
        x0 = predict(noised, sigma.expand(len(noised)))
        low, high = sigma / denoiser.unit, following / denoiser.unit
        fresh = denoiser.unit * low / high * ((high**2 - low**2) * (1 + high**2) / (1 + low**2)).clamp(min=0).sqrt()
        kept = x0 + following / sigma * (noised - x0)
        noised = kept + eta * fresh * draws.normal(noised, step, "hops")
    return noised
