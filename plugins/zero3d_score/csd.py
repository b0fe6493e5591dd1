"""Classifier score distillation: the teacher's predictions against each other, without the noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from zero3d import Schedule
from zero3d.interfaces import COND, NEGATIVE, NULL, Guidance, Teacher
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.shared import perp_neg
from zero3d_score.shared.noising import noised_view
from zero3d_score.shared.options import LARGEST_SCALE, LevelOptions, weight_of
from zero3d_score.shared.predictions import eps_of, times, weighted_sum

COEFFICIENTS = {COND: "cond", NEGATIVE: "negative", NULL: "uncond"}


@dataclass
class CsdConfig(LevelOptions):
    """Options of `csd`. cond, negative, uncond, noise, perp_neg: the coefficients of the predictions with the condition,
    with the negative prompt and without either, of the noise n, and of the texts "front" and "side" across
    cond - negative (or cond - uncond where negative is always 0); numbers or schedules, -1000 to 1000. (1, 0, -1, 0) is the
    pure classifier score; (s, 0, 1 - s, -1) is SDS. The paper's texts: negative 0 to -1 and uncond -1 to 0 over 5000 steps,
    perp_neg 3.

    min_t, max_t: the range of timesteps as shares of the teacher's list, numbers or schedules. inclusive: also draw its end.
    weighting: w(t), as sds's. clip: no entry of the gradient in the teacher's space beyond it; a number or a schedule
    above 0. normalise: then divide it by its norm over the batch (the paper's first stage).
    """

    cond: Any = 1.0
    negative: Any = 0.0
    uncond: Any = -1.0
    noise: Any = 0.0
    perp_neg: Any = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("cond", "negative", "uncond", "noise", "perp_neg"):
            schedule = Schedule.parse(getattr(self, name), name)
            setattr(self, name, schedule.within(-LARGEST_SCALE, LARGEST_SCALE, name, "a coefficient"))
        if not any(_ever(getattr(self, name)) for name in ("cond", "negative", "uncond")):
            raise ValueError(f"cond: {self.cond.extremes[0]:g}; another than 0, or negative or uncond")

    def coefficients(self, step: Step) -> dict[str, float]:
        """Of each branch at this step."""
        return {branch: getattr(self, name)(step) for branch, name in COEFFICIENTS.items()}

    @property
    def base(self) -> str:
        """What Perp-Neg measures from."""
        return NEGATIVE if _ever(self.negative) else NULL

    @property
    def branches(self) -> tuple[str, ...]:
        """Those that it asks at some step."""
        branches = {branch for branch, name in COEFFICIENTS.items() if _ever(getattr(self, name))}
        if _ever(self.perp_neg):
            branches |= {COND, self.base, *perp_neg.BRANCHES}
        return tuple(sorted(branches))


def _ever(schedule: Schedule) -> bool:
    """Whether it is not always 0."""
    return schedule.extremes != (0.0, 0.0)


class ClassifierScoreDistillation(Guidance):
    """dL/dx = w(t) (k_c eps_cond + k_n eps_negative + k_0 eps_null + k n) (CSD, eq. 9 and 12; arXiv 2310.19415).

    With coefficients that sum to 0 and no noise nothing pulls towards what the teacher holds for likely at all: only the
    condition acts. Where the teacher has no opinion of the condition the gradient is 0.
    """

    name: ClassVar[str] = "csd"
    Config: ClassVar[type[Any]] = CsdConfig

    def __init__(self, config: CsdConfig, teacher: Teacher) -> None:
        super().__init__(config, teacher)
        self.branches = config.branches

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        config, denoiser = self.config, self.teacher.denoiser
        at = noised_view(view, step, denoiser, config.times.t_range(step, len(denoiser.sigmas)))
        coefficients, across = config.coefficients(step), config.perp_neg(step)
        branches = {branch for branch, value in coefficients.items() if value}
        if across:
            branches |= {COND, config.base, *perp_neg.active_branches(cameras, denoiser.overhead_deg)}
        eps = eps_of(self.teacher, at.noised, at.sigma, cameras, sorted(branches))
        score = config.noise(step) * at.noise + weighted_sum(eps, coefficients)
        if across:
            base = eps[config.base]
            aside = perp_neg.total(eps, base, eps[COND] - base, cameras, denoiser.overhead_deg)
            score = score + across * aside
        limited = config.limits.limited(times(weight_of(config.weighting, at.sigma, denoiser.unit), score), step)
        figures = {"sigma": float(at.sigma.mean()), "score": float(score.abs().mean())}
        return ImageGradient(at.pull_back(limited), figures, {"view": at.y, "noised": at.noised})
