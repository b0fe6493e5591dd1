"""HiFA: several denoising steps to a target, held against the view in the latent and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import Guidance
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.shared.hops import along
from zero3d_score.shared.noising import Noised, noised_view
from zero3d_score.shared.options import LevelOptions, check_shares, scale_schedule, weight_of
from zero3d_score.shared.predictions import times
from zero3d_score.shared.space import resized

ANNEALINGS = ("sqrt", "none")


@dataclass
class HifaConfig(LevelOptions):
    """Options of `hifa`. guidance_scale: s, 100 in the published code; a number or a schedule, -1000 to 1000.

    samples: how many DDIM steps would lead down from the highest timestep, 1 to 1000; from t there are as many as fit.
    1 is one prediction. eta: of DDIM, 0 to 1.
    latent_weight, image_weight: of the terms in the teacher's space and on RGB, numbers 0 to 1e6. The published code has
    0.05 and 0.005, threestudio 1 and 0.01. A field in the teacher's own latent has no term on RGB.
    weighting: w(t), as sds's; "sigma", the default, makes the gradient x - D.
    annealing: "sqrt": all views at t = max_t - (max_t - min_t) sqrt(step / steps); "none": drawn from [min_t, max_t), one
    level for all views if samples is above 1. min_t, max_t: shares of the teacher's list, numbers or schedules. clip: no
    entry of the gradient in the teacher's space beyond it; a number or a schedule above 0. normalise: then divide it by its
    norm over the batch.
    """

    guidance_scale: Any = 100.0
    samples: int = 4
    eta: float = 1.0
    latent_weight: float = 1.0
    image_weight: float = 0.1
    weighting: str = "sigma"
    annealing: str = "sqrt"
    min_t: Any = 0.3
    max_t: Any = 0.98

    def __post_init__(self) -> None:
        super().__post_init__()
        self.guidance_scale = scale_schedule(self.guidance_scale)
        if self.annealing not in ANNEALINGS:
            raise ValueError(f"annealing: {self.annealing!r}; one of {', '.join(ANNEALINGS)}")
        if not 1 <= self.samples <= 1000:
            raise ValueError(f"samples: {self.samples}; 1 to 1000")
        check_shares(self, "eta")
        for name in ("latent_weight", "image_weight"):
            if not 0 <= getattr(self, name) <= 1e6:
                raise ValueError(f"{name}: {getattr(self, name)}; 0 to 1e6")
        if self.latent_weight + self.image_weight == 0:
            raise ValueError("latent_weight: 0; above 0, or image_weight")

    def t_range(self, step: Step, count: int) -> tuple[int, int]:
        """[low, high) to draw from: a single timestep under an annealing."""
        if self.annealing == "none":
            return self.times.t_range(step, count)
        low, high = self.times.min_t(step), self.times.max_t(step)
        t = min(int(count * ((high - low) * (1 - (step.index / step.total) ** 0.5) + low) + 1e-9), count - 1)
        return t, t + 1


class HighFidelity(Guidance):
    """A target D that several DDIM steps lead to, held against the view in the teacher's space and on RGB (HiFA).

    (w / sigma) (x - D) there and (w / sigma) (I - decode(D)) on the picture (arXiv 2305.18766). The published code leaves D
    scaled by sqrt(alpha_bar[0]) = 0.9996; here it is not. The RGB term acts on the view at its own size: summed over pixels
    it is the published one, which compares at 512, times the share of the area.
    """

    name: ClassVar[str] = "hifa"
    Config: ClassVar[type[Any]] = HifaConfig

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        config, denoiser = self.config, self.teacher.denoiser
        at = noised_view(view, step, denoiser, config.t_range(step, len(denoiser.sigmas)), shared=config.samples > 1)
        x0 = self._target(at, cameras, step)
        factor = weight_of(config.weighting, at.sigma, denoiser.unit) / at.sigma
        value = view.image.new_zeros(view.image.shape)
        if config.latent_weight:
            value = value + at.pull_back(config.limits.limited(config.latent_weight * times(factor, at.y - x0), step))
        if config.image_weight and view.image.shape[-1] == 3:
            picture = resized(denoiser.decode(x0).detach().clamp(0, 1), view.image.shape[1])
            value = value + config.image_weight * times(factor, view.image - picture)
        return ImageGradient(value, at.figures(x0), at.pictures(x0))

    def _target(self, at: Noised, cameras: Cameras, step: Step) -> Tensor:
        scale, denoiser = self.config.guidance_scale(step), self.teacher.denoiser

        def predict(noised: Tensor, sigma: Tensor) -> Tensor:
            return self.teacher.denoise(noised, sigma, cameras, scale)

        if self.config.samples == 1:
            return predict(at.noised, at.sigma)
        hop = max(len(denoiser.sigmas) // self.config.samples, 1)
        grid = [*range(int(at.t[0]), -1, -hop)]
        return along(at.noised, [*grid, 0], denoiser, predict, step, self.config.eta)[0]
