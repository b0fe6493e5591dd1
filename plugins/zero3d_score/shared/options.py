"""The options that score guidances share, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zero3d import Schedule
from zero3d.values import Step

LARGEST_SCALE = 1000.0
"""Of a guidance scale, either way: ten times the largest published one."""
SCALE_MEANS = "the s of uncond + s (cond - uncond); code that writes s - 1 has one less"


def one_minus_alphas_cumprod(sigma: Tensor) -> Tensor:
    """w = 1 - alpha_bar = sigma^2 / (1 + sigma^2): DreamFusion's weight as threestudio uses it."""
    return sigma**2 / (1 + sigma**2)


WEIGHTS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "one_minus_alphas_cumprod": lambda sigma, unit: one_minus_alphas_cumprod(sigma / unit),
    "one": lambda sigma, unit: torch.ones_like(sigma),
    "sigma": lambda sigma, unit: sigma,
    "fantasia3d": lambda sigma, unit: one_minus_alphas_cumprod(sigma / unit) / (1 + (sigma / unit) ** 2).sqrt(),
}
"""w(sigma, unit) of the difference of two eps. Under "sigma" that difference is one of two x0.

alpha_bar belongs to the variance-preserving form, whose data have unit scale: there the level is sigma / `unit`.
"""


def weight_of(weighting: str, sigma: Tensor, unit: float) -> Tensor:
    """w(t), (B,), of levels `sigma` in the image space of a denoiser whose `unit` this is (threestudio's w(t))."""
    return WEIGHTS[weighting](sigma, unit)


def scale_schedule(value: Any, name: str = "guidance_scale") -> Schedule:
    """A guidance scale, a number or a schedule."""
    return Schedule.parse(value, name).within(-LARGEST_SCALE, LARGEST_SCALE, name, SCALE_MEANS)


@dataclass
class Timesteps:
    """min_t, max_t: the range of timesteps as shares of the teacher's list, numbers or schedules (annealing).

    inclusive: also draw the range's end, as threestudio does: 0.98 of 1000 is then 980, else 979.
    """

    min_t: Any = 0.02
    max_t: Any = 0.98
    inclusive: bool = False

    def __post_init__(self) -> None:
        for name in ("min_t", "max_t"):
            setattr(self, name, Schedule.parse(getattr(self, name), name))
        if self.min_t.extremes[0] < 0 or self.max_t.extremes[1] > 1 or self.min_t.extremes[0] >= self.max_t.extremes[1]:
            raise ValueError(
                f"min_t: {self.min_t.extremes[0]}, max_t: {self.max_t.extremes[1]}; 0 <= min_t < max_t <= 1"
            )

    def t_range(self, step: Step, count: int) -> tuple[int, int]:
        """[low, high) of a teacher with `count` timesteps, never empty."""
        low = min(int(self.min_t(step) * count), count - 1)
        high = min(int(self.max_t(step) * count) + self.inclusive, count)
        return low, max(high, low + 1)


@dataclass
class Limits:
    """clip: no entry of the gradient, in the teacher's space, beyond this either way; a number or a schedule above 0, or
    none (score clipping: {0: 2, 1000: 8}; arXiv 2303.15413). normalise: then divide it by its norm over the batch (CSD).
    """

    clip: Any = None
    normalise: bool = False

    def __post_init__(self) -> None:
        if self.clip is not None:
            self.clip = Schedule.parse(self.clip, "clip").within(1e-9, 1e9, "clip", "the largest entry of the gradient")

    def limited(self, gradient: Tensor, step: Step) -> Tensor:
        """The gradient within these limits."""
        if self.clip is not None:
            bound = self.clip(step)
            gradient = gradient.clamp(-bound, bound)
        return gradient / gradient.norm().clamp(min=1e-12) if self.normalise else gradient


@dataclass(kw_only=True)
class LimitOptions:
    """The options clip and normalise, as `Limits` has them."""

    clip: Any = None
    normalise: bool = False

    def __post_init__(self) -> None:
        self.limits = Limits(self.clip, self.normalise)


@dataclass(kw_only=True)
class LevelOptions(LimitOptions):
    """And min_t, max_t and inclusive, as `Timesteps` has them; weighting: one of WEIGHTS."""

    min_t: Any = 0.02
    max_t: Any = 0.98
    inclusive: bool = False
    weighting: str = "one_minus_alphas_cumprod"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.times = Timesteps(self.min_t, self.max_t, self.inclusive)
        if self.weighting not in WEIGHTS:
            raise ValueError(f"weighting: {self.weighting!r}; one of {', '.join(WEIGHTS)}")


def check_shares(config: Any, *names: str) -> None:
    """Raises ValueError unless the options of these names are in [0, 1]."""
    for name in names:
        if not 0 <= getattr(config, name) <= 1:
            raise ValueError(f"{name}: {getattr(config, name)}; 0 to 1")
