"""Score-based iterative reconstruction: pictures sampled from the views, then fitted for some steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import Schedule
from zero3d.interfaces import COND, NULL, CameraSampler, Guidance, Teacher
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.shared import draws
from zero3d_score.shared.hops import along
from zero3d_score.shared.options import check_shares, scale_schedule
from zero3d_score.shared.space import resized, to_teacher

FITS = ("l1", "l2")


@dataclass
class SirConfig:
    """Options of `sir`. guidance_scale: s on the way down; 3 for Zero-1-to-3, 2 for ImageDream, 7.5 for MVDream; a number or
    a schedule, -1000 to 1000. eta: of DDIM on the way down, 0 to 1; 0.5 for Zero-1-to-3, 0 for ImageDream.

    every: for how many steps a set of target pictures is fitted, 1 to 1e6. level: how far up the noise levels the views are
    lifted when targets are made, 0 to 1, a number or a schedule. samples: how many levels the grid has, 2 to 1000.
    jump: the views are noised to this share of that height and inverted from there, 0 to 1.
    from_noise: the first targets are sampled from nothing but noise. fit: "l1" (the published one), or "l2", half the
    squared distance.
    """

    guidance_scale: Any = 3.0
    eta: float = 0.5
    every: int = 15
    level: Any = field(default_factory=lambda: {"0%": 0.9, "100%": 0.2})
    samples: int = 20
    jump: float = 0.6
    from_noise: bool = True
    fit: str = "l1"

    def __post_init__(self) -> None:
        self.guidance_scale = scale_schedule(self.guidance_scale)
        self.level = Schedule.parse(self.level, "level").within(0, 1, "level", "a share of the noise levels")
        check_shares(self, "eta", "jump")
        if not 1 <= self.every <= 10**6:
            raise ValueError(f"every: {self.every}; 1 to 1000000")
        if not 2 <= self.samples <= 1000:
            raise ValueError(f"samples: {self.samples}; 2 to 1000")
        if self.fit not in FITS:
            raise ValueError(f"fit: {self.fit!r}; one of {', '.join(FITS)}")

    def ways(self, step: Step, count: int, from_noise: bool) -> tuple[list[int], list[int]]:
        """The timesteps up and down, of `count`: up ends where down begins, which ends at 0; from noise at the top."""
        samples = min(self.samples, count // 2)
        grid = [1 + (count // samples) * k for k in range(samples)]
        top = samples - 1 - min(int(samples * (1 - self.level(step)) + 1e-9), samples - 1)
        top = samples - 1 if from_noise else top
        low = min(int(grid[top] / count * samples * self.jump), top)
        return grid[low : top + 1], [*reversed(grid[: top + 1]), 0]


class ScoreBasedIterativeReconstruction(Guidance):
    """dL/dx = sign(x - x*), x* a picture that the teacher sampled from x, kept for n steps (MicroDreamer; arXiv 2404.19525).

    When targets are made the views are noised to a middle level, inverted up without the condition, and sampled down under
    guidance. Their cameras are held as long as they are; no gradient passes through an encoder. The published code's first
    level is 901 of 1000, by a rounding of 20 (1 - 0.9), where 0.9 gives 851 here. {15: 0.9, 315: 0.2} over 315 steps is its
    schedule otherwise. It decodes targets scaled by sqrt(alpha_bar[0]) = 0.9996; here they are not.
    """

    name: ClassVar[str] = "sir"
    Config: ClassVar[type[Any]] = SirConfig
    branches: tuple[str, ...] = (COND, NULL)

    def __init__(self, config: SirConfig, teacher: Teacher) -> None:
        super().__init__(config, teacher)
        self._made = 0
        self._left = 0
        self._cameras: Cameras | None = None
        self._targets: Tensor | None = None

    def cameras(self, step: Step, sampler: CameraSampler) -> Cameras | None:
        if self._left == 0 or self._cameras is None:
            self._cameras, self._targets, self._left = sampler.sample(step), None, self.config.every
        return self._cameras

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        if self._targets is None:
            self._targets = self._sampled(view, cameras, step)
        away = view.image - self._targets.to(view.image)
        figures = {"distance": float(away.abs().mean()), "targets_made": float(self._made)}
        value = away.sign() if self.config.fit == "l1" else away
        return ImageGradient(value, figures)

    def after_step(self, step: Step) -> None:
        self._left = max(self._left - 1, 0)

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"made": self._made, "left": self._left}
        if self._cameras is not None:
            held = self._cameras
            state |= {"camera_to_world": held.camera_to_world, "size": [held.height, held.width], "fov": held.fov}
        return state | ({} if self._targets is None else {"targets": self._targets})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if not {"made", "left"} <= state.keys():
            raise ValueError(f"it holds {', '.join(sorted(state)) or 'nothing'}, no targets' counters")
        self._made, self._left, self._targets = int(state["made"]), int(state["left"]), state.get("targets")
        if "camera_to_world" in state:
            height, width = state["size"]
            self._cameras = Cameras(state["camera_to_world"], height, width, state["fov"])

    def _sampled(self, view: View, cameras: Cameras, step: Step) -> Tensor:
        """A picture for each view, of its size: RGB in [0, 1], or in the teacher's own latent."""
        config, denoiser = self.config, self.teacher.denoiser
        from_noise = config.from_noise and self._made == 0
        self._made += 1
        up, down = config.ways(step, len(denoiser.sigmas), from_noise)
        with torch.no_grad():
            y = to_teacher(view.image.detach(), denoiser)[0]
            noise, level = draws.normal(y, step), draws.levels(denoiser, down[:1] if from_noise else up[:1], y)
            if from_noise:
                noised = draws.first_noised(denoiser, level, noise)
            else:
                noised = along(y + level * noise, up, denoiser, self._unconditional(cameras))[0]

            def predict(noised: Tensor, sigma: Tensor) -> Tensor:
                return self.teacher.denoise(noised, sigma, cameras, config.guidance_scale(step))

            found = along(noised, down, denoiser, predict, step, config.eta)[0]
            if view.image.shape[-1] == 3:
                found = denoiser.decode(found).clamp(0, 1)
        return resized(found, view.image.shape[1]).detach()

    def _unconditional(self, cameras: Cameras) -> Any:
        return lambda noised, sigma: self.teacher.predict(noised, sigma, cameras, (NULL,))[NULL]
