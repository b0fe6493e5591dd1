"""The closed form that a guidance is held against: a Gaussian, with and without the condition the same or a step apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zero3d.diffusion import broadcast
from zero3d.interfaces import NULL
from zero3d.testing.gaussian import GaussianConfig, GaussianDenoiser
from zero3d.values import Cameras


class Prior(GaussianDenoiser):
    """A Gaussian in every pixel, the same with and without the condition, so that a guidance scale changes nothing.

    Over any number of channels; `mu` (C,) is its mean. `moved` (C,) is added to the mean but where there is no condition.
    """

    def __init__(self, channels: int, resolution: int, moved: Tensor | None = None) -> None:
        super().__init__(GaussianConfig(std=0.2, resolution=resolution))
        self.channels = channels
        self.mu = torch.linspace(0.2, 0.8, channels)
        self.moved = torch.zeros(channels) if moved is None else moved

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        variance, noise = self.config.std**2, broadcast(sigma, noised) ** 2
        mean = {branch: (self.mu if branch == NULL else self.mu + self.moved).to(noised) for branch in branches}
        return {branch: (variance * noised + noise * mean[branch]) / (variance + noise) for branch in branches}
