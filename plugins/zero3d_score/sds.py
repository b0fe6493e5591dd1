"""Score distillation sampling, with the weightings and time schedules in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import Schedule
from zero3d.diffusion import broadcast, one_minus_alphas_cumprod
from zero3d.interfaces import Guidance
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.perturb import LARGEST_SCALE, SCALE_MEANS, figures, perturb, pictures

WEIGHTINGS = ("one_minus_alphas_cumprod", "one", "sigma")


@dataclass
class SdsConfig:
    """Options of `sds`. guidance_scale: 3 as threestudio's zero123.yaml; a number or a schedule, -1000 to 1000.

    min_t, max_t: the range of timesteps as shares of the teacher's list, numbers or schedules (annealing).
    weighting: w(t); "one_minus_alphas_cumprod" (threestudio), "one" (SJC with variance reduction), or "sigma", under
    which the gradient is x - D: that of half the squared distance to the teacher's x0.
    """

    guidance_scale: Any = 3.0
    min_t: Any = 0.02
    max_t: Any = 0.98
    weighting: str = "one_minus_alphas_cumprod"

    def __post_init__(self) -> None:
        for name in ("guidance_scale", "min_t", "max_t"):
            setattr(self, name, Schedule.parse(getattr(self, name), name))
        self.guidance_scale.within(-LARGEST_SCALE, LARGEST_SCALE, "guidance_scale", SCALE_MEANS)
        if self.min_t.extremes[0] < 0 or self.max_t.extremes[1] > 1 or self.min_t.extremes[0] >= self.max_t.extremes[1]:
            raise ValueError(
                f"min_t: {self.min_t.extremes[0]}, max_t: {self.max_t.extremes[1]}; 0 <= min_t < max_t <= 1"
            )
        if self.weighting not in WEIGHTINGS:
            raise ValueError(f"weighting: {self.weighting!r}; one of {', '.join(WEIGHTINGS)}")


class ScoreDistillation(Guidance):
    """dL/dx = w(t) (eps_hat - eps) = w(t) (x - D(x + sigma n; sigma)) / sigma (DreamFusion, eq. 3; arXiv 2209.14988)."""

    name: ClassVar[str] = "sds"
    Config: ClassVar[type[Any]] = SdsConfig

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        count = len(self.teacher.denoiser.sigmas)
        low = min(int(self.config.min_t(step) * count), count - 1)
        high = max(int(self.config.max_t(step) * count), low + 1)
        p = perturb(view, cameras, step, self.teacher, (low, high), self.config.guidance_scale(step))
        gradient = broadcast(self._weight(p.sigma) / p.sigma, p.y) * (p.y - p.x0)
        return ImageGradient(p.pull_back(gradient), figures(p), pictures(p))

    def _weight(self, sigma: Tensor) -> Tensor:
        if self.config.weighting == "sigma":
            return sigma
        return one_minus_alphas_cumprod(sigma) if self.config.weighting.startswith("one_") else torch.ones_like(sigma)
