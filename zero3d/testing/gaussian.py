"""The closed-form teacher: every view is drawn from one Gaussian, whose denoiser is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from zero3d.diffusion import broadcast
from zero3d.interfaces import COND, NULL, PixelDenoiser
from zero3d.values import Cameras, Subject


@dataclass
class GaussianConfig:
    """`mean` (RGB) and `std` > 0 of every pixel, in [0, 1] units; `resolution` in pixels."""

    mean: list[float] = field(default_factory=lambda: [0.5, 0.5, 0.5])
    std: float = 0.1
    resolution: int = 64

    def __post_init__(self) -> None:
        if not 0 < self.std <= 1000 or max(map(abs, self.mean), default=0) > 1000:
            raise ValueError(f"std: {self.std}, mean: {self.mean}; std above 0, and all at most 1000")
        if len(self.mean) != 3:
            raise ValueError(f"mean: {self.mean}; three numbers")
        if not 1 <= self.resolution <= 4096:
            raise ValueError(f"resolution: {self.resolution}; 1 to 4096 pixels")


class GaussianDenoiser(PixelDenoiser):
    """A teacher that wants every pixel at one colour; its answers are known in closed form.

    For a prior N(mu, s^2): D(z; sigma) = (s^2 z + sigma^2 mu) / (s^2 + sigma^2); without the condition mu is 0.
    The mean of the variance-reduced score gradient at x is sigma (x - mu) / (s^2 + sigma^2).
    """

    name: ClassVar[str] = "gaussian"
    needs: frozenset[str] = frozenset()
    Config: ClassVar[type[Any]] = GaussianConfig

    def __init__(self, config: GaussianConfig) -> None:
        super().__init__(config)
        self.resolution = self.picture_resolution = config.resolution
        self.means: dict[str, Sequence[float]] = {COND: config.mean, NULL: [0.0] * 3}

    def condition(self, subject: Subject) -> None:
        """The subject does not matter."""

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        variance, noise = self.config.std**2, broadcast(sigma, noised) ** 2
        null = variance * noised / (variance + noise)
        return {b: null + noise * noised.new_tensor(self.means[b]) / (variance + noise) for b in branches}
