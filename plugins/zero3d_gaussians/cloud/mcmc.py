"""Growth as Markov chain Monte Carlo (3DGS-MCMC, arXiv 2404.09591): the faint move to the opaque, and all tremble."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_COPIES = 51
"""Copies at one place that are reckoned with, as in gsplat: beyond, the sums lose their digits."""
SHARPNESS, QUIET = 100.0, 0.005
"""The noise fades where the opacity passes QUIET, this sharply."""


@dataclass(frozen=True)
class Mcmc:
    """`densify: mcmc`; in steps, counted from 1.

    start, stop, every: when the faint move and new ones come. dead_opacity: what is no more opaque than this moves to a
    place drawn by opacity. growth: how many times as many there are after each change, until `max_count`. noise: of each
    step, times the covariance, per world unit; it follows the schedule of `position_lr` (80 is what 3DGS-MCMC begins with).
    """

    start: int = 500
    stop: int = 25_000
    every: int = 100
    dead_opacity: float = 0.005
    growth: float = 1.05
    noise: float = 80.0

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            if not 0 <= getattr(self, name) <= 10**9:
                raise ValueError(f"densify.{name}: {getattr(self, name)}; 0 to 1e9 steps")
        if not 1 <= self.every <= 10**9:
            raise ValueError(f"densify.every: {self.every}; 1 to 1e9 steps")
        if not 0 < self.dead_opacity < 1:
            raise ValueError(f"densify.dead_opacity: {self.dead_opacity}; above 0 and below 1")
        if not 1 <= self.growth <= 2:
            raise ValueError(f"densify.growth: {self.growth}; 1 to 2 times")
        if not 0 <= self.noise <= 1e9:
            raise ValueError(f"densify.noise: {self.noise}; 0 to 1e9")

    def acts(self, iteration: int) -> bool:
        """Whether Gaussians move and new ones come after this step."""
        return self.start <= iteration <= self.stop and iteration % self.every == 0


@dataclass(frozen=True)
class Copies:
    """sources (M,): rows drawn to be copied, some of them often. opacity_logits (M,), log_scales (M, 3): of a source and of
    each of its copies from then on."""

    sources: Tensor
    opacity_logits: Tensor
    log_scales: Tensor


def copies(
    opacities: Tensor, log_scales: Tensor, alive: Tensor, count: int, least: float, draw: torch.Generator
) -> Copies:
    """`count` places among `alive` (K,), drawn by opacity with replacement."""
    chosen = torch.multinomial(opacities[alive].cpu(), count, replacement=True, generator=draw)
    sources = alive[chosen.to(alive.device)]
    together = torch.bincount(sources, minlength=len(opacities))[sources] + 1
    opacity, shrink = shared(opacities[sources], together.clamp(max=MOST_COPIES))
    opacity = opacity.clamp(least, 1 - torch.finfo(torch.float32).eps)
    return Copies(sources, opacity.logit().to(opacities), log_scales[sources] + shrink.log().to(log_scales)[:, None])


def shared(opacities: Tensor, together: Tensor) -> tuple[Tensor, Tensor]:
    """Opacity (M,) of each of `together` (M,) equal Gaussians that take one's place, and the factor of their scales.

    The paper's eq. 9, float64: through the centre they take as much light as the one did, and as much in all along a line
    past it. Its double sum is one by the hockey-stick identity.
    """
    before, number = opacities.double(), together.double()
    opacity = -torch.expm1(torch.log1p(-before) / number)
    binomials = torch.zeros(MOST_COPIES + 1, MOST_COPIES, dtype=torch.float64)
    for n in range(1, MOST_COPIES + 1):
        binomials[n, :n] = torch.tensor([(-1) ** k * math.comb(n, k + 1) for k in range(n)], dtype=torch.float64)
    power = torch.arange(1, MOST_COPIES + 1, dtype=torch.float64, device=before.device)
    terms = binomials.to(before.device)[together] * opacity[:, None] ** power / power.sqrt()
    return opacity, before / terms.sum(dim=1)


def tremble(axes: Tensor, opacities: Tensor, strength: float, draw: torch.Generator) -> Tensor:
    """(N, 3): the step's noise of the centres, by covariance; next to none for what is opaque."""
    faint = torch.sigmoid(SHARPNESS * (QUIET - opacities))[:, None]
    normals = torch.randn(len(opacities), 3, generator=draw, dtype=axes.dtype).to(axes)
    return (axes @ (axes.mT @ (normals * faint * strength)[..., None]))[..., 0]
