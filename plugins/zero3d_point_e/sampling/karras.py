"""Karras' sampler with Heun's steps, as Point-E runs it (arXiv 2206.00364, algorithm 2; the published code's variant)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from zero3d.diffusion import cosine_alphas_cumprod, guided, linear_alphas_cumprod

TIMESTEPS = 1024
Predict = Callable[[Tensor, int], Tensor]
"""(1, 6, N) in model units at timestep t -> the noise (B, 6, N): with the condition, and behind it without, if guided."""


@dataclass(frozen=True)
class Plan:
    """How a stage is sampled; the numbers are those of the published base stage.

    steps: at least 2. highest, lowest: noise levels. churn: how much fresh noise, in all. scale: of guidance; 0 and 1 are
    the condition alone. cosine: the schedule that the network was trained with, else linear.
    """

    steps: int = 64
    scale: float = 3.0
    highest: float = 120.0
    lowest: float = 1e-3
    rho: float = 7.0
    churn: float = 3.0
    cosine: bool = True

    @property
    def guides(self) -> bool:
        """Whether predictions without the condition are needed."""
        return self.scale not in (0, 1)

    def alphas_cumprod(self) -> Tensor:
        """(1024,) float64."""
        if self.cosine:
            return cosine_alphas_cumprod(TIMESTEPS)
        wider = 1000 / TIMESTEPS
        return linear_alphas_cumprod(TIMESTEPS, 1e-4 * wider, 0.02 * wider)

    def sigmas(self) -> list[float]:
        """The levels, descending, and 0."""
        ends = self.highest ** (1 / self.rho), self.lowest ** (1 / self.rho)
        shares = torch.linspace(0, 1, self.steps, dtype=torch.float64)
        return [*((ends[0] + shares * (ends[1] - ends[0])) ** self.rho).tolist(), 0.0]


def base_plan(steps: int = 64, scale: float = 3.0) -> Plan:
    """The first stage's."""
    return Plan(steps, scale)


def upsample_plan(steps: int = 64, scale: float = 3.0) -> Plan:
    """The second stage's."""
    return Plan(steps, scale, highest=160.0, churn=0.0, cosine=False)


class Denoise:
    """D(x, sigma) of a network that knows 1024 timesteps."""

    def __init__(self, predict: Predict, plan: Plan) -> None:
        self._predict, self._plan = predict, plan
        self._alphas = plan.alphas_cumprod()

    def timestep(self, sigma: float) -> int:
        """The level's place among the network's, interpolated in alpha_bar and rounded down."""
        rising, wanted = self._alphas.flip(0), 1 / (sigma**2 + 1)
        above = int(torch.searchsorted(rising, torch.tensor(wanted, dtype=torch.float64)))
        if above == 0:
            return TIMESTEPS - 1
        if above == TIMESTEPS:
            return 0
        low, high = float(rising[above - 1]), float(rising[above])
        return int(TIMESTEPS - 1 - (above - 1) - (wanted - low) / (high - low))

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """(1, 6, N): each branch's x0 by the timestep's own level, clamped, then guided and not clamped again."""
        t = self.timestep(sigma)
        scaled, alpha = x / (sigma**2 + 1) ** 0.5, float(self._alphas[t])
        eps = self._predict(scaled, t)
        clean = ((1 / alpha) ** 0.5 * scaled - (1 / alpha - 1) ** 0.5 * eps).clamp(-1, 1)
        return guided(clean[1:], clean[:1], self._plan.scale) if self._plan.guides else clean[:1]


def sample(denoise: Callable[[Tensor, float], Tensor], plan: Plan, draw: Callable[[], Tensor]) -> Tensor:
    """(1, 6, N) in model units. `draw`: standard normal numbers of that shape, for the start and for each churned step."""
    sigmas = plan.sigmas()
    x = clean = sigmas[0] * draw()
    gamma = min(plan.churn / plan.steps, 2**0.5 - 1)
    for level, following in pairwise(sigmas):
        sigma = level * (1 + gamma)
        if gamma:
            x = x + draw() * (sigma**2 - level**2) ** 0.5
        clean = denoise(x, sigma)
        slope = (x - clean) / sigma
        ahead = x + slope * (following - sigma)
        if following:
            after = (ahead - denoise(ahead, following)) / following
            ahead = x + (slope + after) / 2 * (following - sigma)
        x = ahead
    return clean
