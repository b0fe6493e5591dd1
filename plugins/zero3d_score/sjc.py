"""Score Jacobian Chaining: the perturb-and-average score, chained through the renderer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from zero3d.diffusion import broadcast
from zero3d.interfaces import Guidance, Teacher
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.shared.noising import noised_view
from zero3d_score.shared.options import scale_schedule


@dataclass
class SjcConfig:
    """Options of `sjc`. guidance_scale: 100 in the paper's reconstruction; a number or a schedule, -1000 to
    1000.

    variance_reduction: subtract the rendered image rather than the noised one (var_red). t_range: [low, high) of
    timesteps as shares of the teacher's list; [0.01, 0.97) of 1000 is the original us[30:-10], t in 10..969.
    """

    guidance_scale: Any = 100.0
    variance_reduction: bool = True
    t_range: list[float] = field(default_factory=lambda: [0.01, 0.97])

    def __post_init__(self) -> None:
        self.guidance_scale = scale_schedule(self.guidance_scale)
        if len(self.t_range) != 2 or not 0 <= self.t_range[0] < self.t_range[1] <= 1:
            raise ValueError(f"t_range: {self.t_range}; [low, high] with 0 <= low < high <= 1")


class ScoreJacobianChaining(Guidance):
    """dL/dx = (x - D(x + sigma n; sigma)) / sigma: the perturb-and-average score (SJC, eq. 8-12; arXiv 2212.00774).

    Without variance reduction (x + sigma n - D) / sigma, of the same mean. The sign is that of descent; the original
    calls backward with the negative. With variance reduction it equals SDS with weight 1.
    """

    name: ClassVar[str] = "sjc"
    Config: ClassVar[type[Any]] = SjcConfig

    def __init__(self, config: SjcConfig, teacher: Teacher) -> None:
        super().__init__(config, teacher)
        count = len(teacher.denoiser.sigmas)
        low, high = (round(share * count) for share in config.t_range)
        self._t_range = (low, max(high, low + 1))

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        at = noised_view(view, step, self.teacher.denoiser, self._t_range)
        x0 = self.teacher.denoise(at.noised, at.sigma, cameras, self.config.guidance_scale(step))
        start = at.y if self.config.variance_reduction else at.noised
        gradient = (start - x0) / broadcast(at.sigma, at.y)
        return ImageGradient(at.pull_back(gradient), at.figures(x0), at.pictures(x0))
