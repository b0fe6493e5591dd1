"""Interval score matching: two levels of one deterministic path up from the view, compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from zero3d import Schedule
from zero3d.diffusion import guided
from zero3d.interfaces import COND, NEGATIVE, NULL, Guidance, Teacher
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.shared import draws
from zero3d_score.shared.hops import along
from zero3d_score.shared.options import LevelOptions, check_shares, scale_schedule, weight_of
from zero3d_score.shared.predictions import times
from zero3d_score.shared.space import to_teacher


@dataclass
class IsmConfig(LevelOptions):
    """Options of `ism`. guidance_scale: s at the upper level, 7.5 in the published recipes; -1000 to 1000.

    min_t, max_t: the range of the upper timestep, one for all views, as shares of the teacher's list. interval: how far
    below it the lower one lies, hop: how far apart the levels on the way up to that are; shares of the list, 0.001 to 1.
    These four are numbers or schedules; max_t and interval reach their last value at 30 % of the run, as in 1500 of the
    published 5000 steps. hops: at most so many, 0 to 100.
    offset: share of the start's noise that is one number a channel, 0 to 1.
    negative: guidance at the upper level leads away from the negative prompt (the published code), not from no prompt.
    weighting: w(t), as sds's; sigma in the published code. clip: no entry of the gradient in the teacher's space beyond it;
    a number or a schedule above 0. normalise: then divide it by its norm over the batch.
    """

    guidance_scale: Any = 7.5
    min_t: Any = 0.02
    max_t: Any = field(default_factory=lambda: {"0%": 0.98, "30%": 0.5})
    interval: Any = field(default_factory=lambda: {"0%": 0.1, "30%": 0.05})
    hop: Any = 0.2
    hops: int = 5
    offset: float = 0.1
    negative: bool = False
    weighting: str = "sigma"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.guidance_scale = scale_schedule(self.guidance_scale)
        for name in ("interval", "hop"):
            schedule = Schedule.parse(getattr(self, name), name)
            setattr(self, name, schedule.within(0.001, 1, name, "a share of the teacher's timesteps"))
        if not 0 <= self.hops <= 100:
            raise ValueError(f"hops: {self.hops}; 0 to 100")
        check_shares(self, "offset")

    def path(self, t: int, step: Step, count: int) -> list[int]:
        """The timesteps on the way up to `t`, of `count`: the start, its hops, the lower level, and t."""
        lower = max(t - int(self.interval(step) * count + 1e-9), 1)
        hop = max(round(self.hop(step) * count), 1)
        start = max(lower - self.hops * hop, 1)
        return [*range(start, lower, hop), lower, t]


class IntervalScoreMatching(Guidance):
    """dL/dx = w(t) (eps_s(y_t) - eps_null(y_u)), u < t on one DDIM inversion (LucidDreamer, eq. 17; arXiv 2311.11284).

    Both along the same path, so that the noise between them drops out: the hop from u to t keeps eps_null(y_u), and the
    difference is (D_null(y_u) - D_s(y_t)) / sigma_t. The way up asks for the null prediction alone.
    """

    name: ClassVar[str] = "ism"
    Config: ClassVar[type[Any]] = IsmConfig

    def __init__(self, config: IsmConfig, teacher: Teacher) -> None:
        super().__init__(config, teacher)
        self.branches = (COND, NULL, NEGATIVE) if config.negative else (COND, NULL)

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        config, denoiser = self.config, self.teacher.denoiser
        y, pull_back = to_teacher(view.image.detach(), denoiser)
        count = len(denoiser.sigmas)
        drawn = draws.timesteps(len(y), config.times.t_range(step, count), len(y), step)
        t = max(int(drawn[0]), 2)
        path = config.path(t, step, count)
        sigma = draws.levels(denoiser, [t], y).expand(len(y))

        def unconditional(noised: Tensor, level: Tensor) -> Tensor:
            return self.teacher.predict(noised, level, cameras, (NULL,))[NULL]

        noise = draws.normal(y, step) + config.offset * draws.normal(y[:1, :1, :1], step, "channels")
        start = y + draws.levels(denoiser, path[:1], y) * noise
        noised, lower = along(start, path, denoiser, unconditional)
        base = NEGATIVE if config.negative else NULL
        x0 = self.teacher.predict(noised, sigma, cameras, (COND, base))
        upper = guided(x0[base], x0[COND], config.guidance_scale(step))
        gradient = times(weight_of(config.weighting, sigma, denoiser.unit) / sigma, lower - upper)
        figures = {"sigma": float(sigma[0]), "distance": float((upper - y).abs().mean())}
        pictures = {"view": y, "noised": noised, "denoised": upper}
        return ImageGradient(pull_back(config.limits.limited(gradient, step)), figures, pictures)
