"""Score distillation sampling, with the weightings and time schedules in use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import COND, NULL, Guidance, Teacher
from zero3d.values import Cameras, Step, View, ViewGradient
from zero3d_score.shared import perp_neg
from zero3d_score.shared.noising import Noised, noised_view
from zero3d_score.shared.options import LevelOptions, check_shares, scale_schedule, weight_of
from zero3d_score.shared.predictions import guided_x0, rescaled_x0, times
from zero3d_score.shared.space import normals_as_picture, normals_gradients

SHOWN = ("image", "normals")


@dataclass
class SdsConfig(LevelOptions):
    """Options of `sds`. guidance_scale: 3 as threestudio's zero123.yaml; a number or a schedule, -1000 to 1000.

    min_t, max_t: the range of timesteps as shares of the teacher's list, numbers or schedules (annealing). inclusive:
    also draw the range's end, as threestudio does: 0.98 of 1000 is then 980, else 979.
    weighting: w(t); "one_minus_alphas_cumprod" (threestudio), "one" (SJC with variance reduction), "fantasia3d" (their
    sqrt(a) (1 - a)), or "sigma", under which the gradient is x - D: that of half the squared distance to the teacher's x0.
    recon_rescale: 0 to 1, how far the guided x0's spread is drawn back to the conditional one's, over a group of views
    (MVDream 0.5, ImageDream 0.2, both with weighting sigma). perp_neg: count off the texts "front" and "side", across the
    view's own, by azimuth; for a teacher that has those branches.
    clip: no entry of the gradient in the teacher's space beyond it; a number or a schedule above 0. normalise: then divide
    it by its norm over the batch. shown: what the teacher sees of the view, image, or normals in its place, as a picture
    (n + 1) / 2 in world axes before black, for a shape without colours (Fantasia3D, ProlificDreamer's second stage).
    """

    guidance_scale: Any = 3.0
    recon_rescale: float = 0.0
    perp_neg: bool = False
    shown: str = "image"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.guidance_scale = scale_schedule(self.guidance_scale)
        check_shares(self, "recon_rescale")
        if self.shown not in SHOWN:
            raise ValueError(f"shown: {self.shown!r}; one of {', '.join(SHOWN)}")
        if self.perp_neg and self.recon_rescale:
            raise ValueError(f"recon_rescale: {self.recon_rescale}; 0 with perp_neg, or perp_neg: false")


class ScoreDistillation(Guidance):
    """dL/dx = w(t) (eps_hat - eps) = w(t) (x - D(x + sigma n; sigma)) / sigma (DreamFusion, eq. 3; arXiv 2209.14988)."""

    name: ClassVar[str] = "sds"
    Config: ClassVar[type[Any]] = SdsConfig

    def __init__(self, config: SdsConfig, teacher: Teacher) -> None:
        super().__init__(config, teacher)
        if config.shown == "normals":
            self.needs = frozenset({"image", "normals"})
        if config.recon_rescale or config.perp_neg:
            extra = perp_neg.BRANCHES if config.perp_neg else ()
            self.branches = (COND, NULL, *extra)

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        denoiser, of_normals = self.teacher.denoiser, self.config.shown == "normals"
        if of_normals:
            view = replace(view, image=normals_as_picture(view))
        noised = noised_view(view, step, denoiser, self.config.times.t_range(step, len(denoiser.sigmas)))
        x0 = self._x0(noised, cameras, step)
        weight = weight_of(self.config.weighting, noised.sigma, denoiser.unit)
        gradient = times(weight / noised.sigma, noised.y - x0)
        limited = self.config.limits.limited(gradient, step)
        pulled = noised.pull_back(limited)
        gradients = normals_gradients(pulled) if of_normals else {"image": pulled}
        return ViewGradient(gradients, noised.figures(x0), noised.pictures(x0))

    def _x0(self, at: Noised, cameras: Cameras, step: Step) -> Tensor:
        scale, rescale = self.config.guidance_scale(step), self.config.recon_rescale
        if rescale:
            return rescaled_x0(self.teacher, at.noised, at.sigma, cameras, scale, rescale)
        return guided_x0(self.teacher, at.noised, at.sigma, cameras, scale, self.config.perp_neg)
