"""Each formula of diffusion once, in sigma form: noised = x0 + sigma * n (variance exploding).

`t` is Stable Diffusion's discrete timestep 0..999; `alpha_bar` its cumulative signal power.
A network that expects the variance-preserving form is fed noised / sqrt(1 + sigma^2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor


def scaled_linear_alphas_cumprod(timesteps: int = 1000, start: float = 0.00085, end: float = 0.0120) -> Tensor:
    """alpha_bar[t] of Stable Diffusion, (timesteps,), float64: beta = linspace(sqrt(start), sqrt(end))^2."""
    betas = torch.linspace(start**0.5, end**0.5, timesteps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, dim=0)


def linear_alphas_cumprod(timesteps: int = 1000, start: float = 0.0001, end: float = 0.02) -> Tensor:
    """alpha_bar[t] of DDPM, (timesteps,), float64: beta = linspace(start, end)."""
    return torch.cumprod(1 - torch.linspace(start, end, timesteps, dtype=torch.float64), dim=0)


def cosine_alphas_cumprod(timesteps: int = 1000, largest_beta: float = 0.999) -> Tensor:
    """alpha_bar[t] of the squared cosine schedule, (timesteps,), float64 (arXiv 2102.09672, eq. 17).

    f(u) = cos^2((u + 0.008) / 1.008 pi / 2); beta[t] = 1 - f((t + 1) / T) / f(t / T), at most `largest_beta`.
    """
    u = torch.arange(timesteps + 1, dtype=torch.float64) / timesteps
    f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    betas = (1 - f[1:] / f[:-1]).clamp(max=largest_beta)
    return torch.cumprod(1 - betas, dim=0)


def sigmas_from_alphas_cumprod(alphas_cumprod: Tensor) -> Tensor:
    """sigma[t] = sqrt((1 - alpha_bar) / alpha_bar), rising with t: 0.0292 .. 14.61 for Stable Diffusion."""
    return ((1 - alphas_cumprod) / alphas_cumprod).sqrt()


def stable_diffusion_sigmas() -> Tensor:
    """The 1000 noise levels of Stable Diffusion and Zero-1-to-3, ascending, float32, for data of unit variance."""
    return sigmas_from_alphas_cumprod(scaled_linear_alphas_cumprod()).float()


def sigma_to_t(sigma: Tensor, sigmas: Tensor) -> Tensor:
    """The timestep whose level is nearest to each of `sigma` in log space; `sigmas` ascending."""
    return (sigma.log()[:, None] - sigmas.log()[None, :]).abs().argmin(dim=1)


def guided(unconditional: Tensor, conditional: Tensor, guidance_scale: float) -> Tensor:
    """Classifier-free guidance: uncond + s (cond - uncond). The same for eps and for x0 (arXiv 2207.12598)."""
    return unconditional + guidance_scale * (conditional - unconditional)


def x0_from_eps(noised: Tensor, eps: Tensor, sigma: Tensor) -> Tensor:
    """D = noised - sigma * eps; `sigma` broadcasts over the last axes (Score Jacobian Chaining, eq. 9)."""
    return noised - broadcast(sigma, noised) * eps


def x0_from_v(noised: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
    """D = noised / (1 + sigma^2) - sigma / sqrt(1 + sigma^2) v, of v = a n - b x0 (arXiv 2202.00512, appendix D)."""
    level = broadcast(sigma, noised)
    return noised / (1 + level**2) - level / (1 + level**2).sqrt() * v


def eps_from_x0(noised: Tensor, x0: Tensor, sigma: Tensor) -> Tensor:
    """eps = (noised - D) / sigma."""
    return (noised - x0) / broadcast(sigma, noised)


def to_variance_preserving(noised: Tensor, sigma: Tensor) -> Tensor:
    """x0 + sigma n  ->  sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) n, which is noised / sqrt(1 + sigma^2)."""
    return noised / (1 + broadcast(sigma, noised) ** 2).sqrt()


def ddim_step(noised: Tensor, x0: Tensor, sigma: Tensor, following: Tensor, eta: float, noise: Tensor) -> Tensor:
    """From level `sigma` to the lower `following` (scalars): DDIM with eta (arXiv 2010.02502, eq. 12 and 16).

    There, s^2 = eta^2 (1 - a')/(1 - a) (1 - a/a') with a = alpha_bar. Divided by sqrt(a'), the sigma form has
    s = eta following sqrt(sigma^2 - following^2) / sigma, and the scale of the data drops out. eta 0 is deterministic.
    """
    fresh = eta * following * (sigma**2 - following**2).clamp(min=0).sqrt() / sigma
    kept = (following**2 - fresh**2).clamp(min=0).sqrt()
    return x0 + kept * (noised - x0) / sigma + fresh * noise


def ddim(
    x0_of: Callable[[Tensor, Tensor], Tensor], noised: Tensor, levels: Tensor, eta: float, noise: Callable[[], Tensor]
) -> Tensor:
    """`ddim_step` from each of `levels` (K,), falling, to the next; what is left at the last, which may be 0.

    x0_of: noised and its level (a scalar) -> x0. noise: what is fresh in a step, of the shape of `noised`; asked for
    if eta is above 0.
    """
    for sigma, following in pairwise(levels):
        noised = ddim_step(noised, x0_of(noised, sigma), sigma, following, eta, noise() if eta else 0 * noised)
    return noised


def broadcast(values: Tensor, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, 1, ...) to fit `like` (B, ...)."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
