"""Score distillation via inversion: noise found by inverting the view, in place of random noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import COND, NULL, Guidance, Teacher
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.shared import draws, perp_neg
from zero3d_score.shared.hops import inverted_with_noise
from zero3d_score.shared.options import LimitOptions, check_shares, scale_schedule
from zero3d_score.shared.predictions import guided_x0
from zero3d_score.shared.space import to_teacher


@dataclass
class SdiConfig(LimitOptions):
    """Options of `sdi`. guidance_scale: s of the last question, inversion_scale: s on the way up; numbers or schedules,
    -1000 to 1000. 7.5 and -7.5 are the paper's with perp_neg; its code without writes 7.5 and -7.5 for 8.5 and -6.5.

    start_t, end_t: the timestep at the run's beginning and at its end as shares of the teacher's list, in (0, 1]: it falls
    linearly. hop: how far apart the levels of the inversion lie, a share of that list, 0.001 to 1. jitter: up to so much
    further goes the last one, at random, 0 to 1. eta: of the fresh noise of a hop, 0 to 1.
    perp_neg: count off the texts "front" and "side", across the view's own; for a teacher that has those branches.
    published: two slips of the published code, to the letter: the view counts as noised to the first level before it is; the
    inverted latent, which lies at the jittered level, is read as if it lay at the one without.
    clip: no entry of the gradient in the teacher's space beyond it; a number or a schedule above 0.
    normalise: then divide it by its norm over the batch.
    """

    guidance_scale: Any = 7.5
    inversion_scale: Any = -7.5
    start_t: float = 0.98
    end_t: float = 0.25
    hop: float = 0.1
    jitter: float = 0.1
    eta: float = 0.3
    perp_neg: bool = False
    published: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.guidance_scale = scale_schedule(self.guidance_scale)
        self.inversion_scale = scale_schedule(self.inversion_scale, "inversion_scale")
        for name in ("start_t", "end_t"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name)}; above 0, at most 1")
        if not 0.001 <= self.hop <= 1:
            raise ValueError(f"hop: {self.hop}; 0.001 to 1")
        check_shares(self, "jitter", "eta")

    def timestep(self, step: Step, count: int) -> int:
        """Of this optimisation step, of a teacher with `count` of them."""
        share = (self.start_t - self.end_t) * (1 - step.index / step.total) + self.end_t
        return min(int(count * share), count - 1)


class ScoreDistillationViaInversion(Guidance):
    """dL/dx = x - D_s(y), y the view inverted up to the level t under a negative scale (SDI; arXiv 2405.15891).

    One level for all views, falling over the run. The published code averages over entries and views where this sums: its
    gradient is this one divided by h w C B. It asks its network at t = -99 for the first hop, here t = 0.
    """

    name: ClassVar[str] = "sdi"
    Config: ClassVar[type[Any]] = SdiConfig

    def __init__(self, config: SdiConfig, teacher: Teacher) -> None:
        super().__init__(config, teacher)
        if config.perp_neg:
            self.branches = (COND, NULL, *perp_neg.BRANCHES)

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        config, denoiser = self.config, self.teacher.denoiser
        y, pull_back = to_teacher(view.image.detach(), denoiser)
        count = len(denoiser.sigmas)
        t = config.timestep(step, count)
        jitter = draws.uniform(step, "jitter") * (config.jitter * count)
        top = min(t + int(jitter + 1e-9), count - 1)
        grid = [0, *(k for k in range(1, t, max(round(config.hop * count), 1))), top]

        def predict(noised: Tensor, sigma: Tensor) -> Tensor:
            scale = config.inversion_scale(step)
            return guided_x0(self.teacher, noised, sigma, cameras, scale, config.perp_neg)

        start = self._read_at(y, None, 0) if config.published else y
        inverted = inverted_with_noise(start, grid, denoiser, predict, step, config.eta)
        at = t if config.published else top
        noised, sigma = self._read_at(inverted, top, at), draws.levels(denoiser, [at], y)
        x0 = guided_x0(
            self.teacher, noised, sigma.expand(len(y)), cameras, config.guidance_scale(step), config.perp_neg
        )
        limited = config.limits.limited(y - x0, step)
        figures = {"sigma": float(sigma), "distance": float((x0 - y).abs().mean())}
        return ImageGradient(pull_back(limited), figures, {"view": y, "noised": inverted, "denoised": x0})

    def _read_at(self, latent: Tensor, own: int | None, t: int) -> Tensor:
        """The variance-preserving latent of level `own` (None: without noise) read as if of level `t`, in sigma form."""
        denoiser = self.teacher.denoiser
        levels = torch.cat(
            [latent.new_zeros(1) if k is None else draws.levels(denoiser, [k], latent) for k in (own, t)]
        )
        size = (1 + (levels / denoiser.unit) ** 2).sqrt()
        return denoiser.centre + size[1] / size[0] * (latent - denoiser.centre)
