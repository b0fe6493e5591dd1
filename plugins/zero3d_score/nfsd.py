"""Noise-free score distillation: the classifier score, and what leads from noise to pictures, without the noise itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from zero3d.diffusion import broadcast
from zero3d.interfaces import COND, NEGATIVE, NULL, Guidance, Teacher
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.shared.noising import noised_view
from zero3d_score.shared.options import LevelOptions, check_shares, scale_schedule, weight_of
from zero3d_score.shared.predictions import eps_of, times


@dataclass
class NfsdConfig(LevelOptions):
    """Options of `nfsd`. guidance_scale: s, 7.5 in the paper; a number or a schedule, -1000 to 1000.

    low_t: below this share of the teacher's timesteps noise is small and eps_null itself leads to pictures, 0 to 1.
    negative: take off the prediction of the negative prompt above it (the paper); false for a teacher that has none: then
    eps_null is taken off, and nothing but the classifier score is left there.
    min_t, max_t: the range of timesteps as shares of the teacher's list, numbers or schedules. inclusive: also draw its end.
    weighting: w(t), as sds's. clip: no entry of the gradient in the teacher's space beyond it; a number or a schedule
    above 0. normalise: then divide it by its norm over the batch.
    """

    guidance_scale: Any = 7.5
    low_t: float = 0.2
    negative: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.guidance_scale = scale_schedule(self.guidance_scale)
        check_shares(self, "low_t")


class NoiseFreeScoreDistillation(Guidance):
    """dL/dx = w(t) (d_D + s (eps_cond - eps_null)) (NFSD, eq. 6; arXiv 2310.17590).

    d_D = eps_null where t < 200 of 1000, and eps_null - eps_negative above: the part of the score that leads to pictures,
    as far as a negative prompt names what is none. The authors published no code; this is the paper's equation.
    """

    name: ClassVar[str] = "nfsd"
    Config: ClassVar[type[Any]] = NfsdConfig

    def __init__(self, config: NfsdConfig, teacher: Teacher) -> None:
        super().__init__(config, teacher)
        self.branches = (COND, NULL, NEGATIVE) if config.negative else (COND, NULL)

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        config, denoiser = self.config, self.teacher.denoiser
        at = noised_view(view, step, denoiser, config.times.t_range(step, len(denoiser.sigmas)))
        low = at.t < round(config.low_t * len(denoiser.sigmas))
        asked = (COND, NULL) if bool(low.all()) else self.branches
        eps = eps_of(self.teacher, at.noised, at.sigma, cameras, asked)
        taken_off = (
            0.0 if bool(low.all()) else broadcast((~low).to(at.y), at.y) * eps[NEGATIVE if config.negative else NULL]
        )
        score = eps[NULL] - taken_off + config.guidance_scale(step) * (eps[COND] - eps[NULL])
        limited = config.limits.limited(times(weight_of(config.weighting, at.sigma, denoiser.unit), score), step)
        figures = {"sigma": float(at.sigma.mean()), "score": float(score.abs().mean())}
        return ImageGradient(at.pull_back(limited), figures, {"view": at.y, "noised": at.noised})
