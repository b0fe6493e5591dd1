"""Variational score distillation: the teacher against a network that learns what the views look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d import RecipeError, Schedule
from zero3d.diffusion import guided
from zero3d.interfaces import COND, NEGATIVE, NULL, AdaptableDenoiser, Guidance, Teacher
from zero3d.values import Cameras, ImageGradient, Step, View, ViewGradient
from zero3d_score.critic.base import Critic, poses
from zero3d_score.critic.fit import LOSSES, Fit, critic_loss
from zero3d_score.critic.lora import LoraCritic
from zero3d_score.critic.small import GROUPS, SmallCritic
from zero3d_score.shared import draws
from zero3d_score.shared.noising import Noised, noised, noised_view
from zero3d_score.shared.options import LARGEST_SCALE, LevelOptions, check_shares, scale_schedule, weight_of
from zero3d_score.shared.predictions import guided_x0, times

CRITICS = ("auto", "lora", "small")
SEED = 0
"""Of phi's first values."""
RATES = {"lora": 1e-4, "small": 1e-3}


@dataclass
class VsdConfig(LevelOptions):
    """Options of `vsd`. guidance_scale: s of the teacher, 7.5 in the paper; a number or a schedule, -1000 to 1000.

    negative: guidance leads away from the negative prompt (threestudio), not from no prompt.
    critic: what phi is. "lora": the teacher's own network with low-rank adapters (the paper; extra `peft`), for a denoiser
    that lays it open; "small": a convolutional network of our own, for any denoiser; "auto": lora where it fits.
    rank: of the adapters, 1 to 1024. width: of the small one's finest level, a multiple of 8, 8 to 1024.
    critic_scale: guidance of phi by the camera, from its answer without one; 1 asks that with the camera alone; a number or
    a schedule, -1000 to 1000. camera_dropped: how often an update hides the cameras, one coin for all, 0 to 1.
    updates: of phi after each step, 0 to 100, each with fresh noise at timesteps drawn from the whole list. loss: the mean
    squared error of phi in "v" (the paper), or in "eps". lr: AdamW's, 0 to 1; if none is given 1e-4 for lora (the paper),
    1e-3 for small. warmup: updates in which lr rises linearly, 0 to 1e6; 501 in the paper's code. weight_decay: 0 to 100.
    betas: AdamW's two, each 0 to below 1. eps: its, 0 to 1. Both as the paper's code; threestudio 0.9 and 0.99, 1e-15.
    min_t, max_t: the teacher's range of timesteps as shares of its list, numbers or schedules; in the paper's code max_t is
    {0: 0.98, 5000: {jump: 0.5}}. inclusive: also draw its end. weighting: w(t), as sds's. clip: no entry of the gradient in
    the teacher's space beyond it; a number or a schedule above 0. normalise: then divide it by its norm over the batch.
    """

    guidance_scale: Any = 7.5
    negative: bool = False
    critic: str = "auto"
    rank: int = 4
    width: int = 32
    critic_scale: Any = 1.0
    camera_dropped: float = 0.1
    updates: int = 1
    loss: str = "v"
    lr: float | None = None
    warmup: int = 0
    weight_decay: float = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.guidance_scale = scale_schedule(self.guidance_scale)
        scale = Schedule.parse(self.critic_scale, "critic_scale")
        self.critic_scale = scale.within(-LARGEST_SCALE, LARGEST_SCALE, "critic_scale", "1 is phi as it is")
        check_shares(self, "camera_dropped")
        for name, allowed in (("critic", CRITICS), ("loss", LOSSES)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name}: {getattr(self, name)!r}; one of {', '.join(allowed)}")
        bounds = {"rank": (1, 1024), "width": (8, 1024), "updates": (0, 100), "warmup": (0, 10**6)}
        for name, (low, high) in (bounds | {"weight_decay": (0, 100), "eps": (0, 1)}).items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")
        if self.width % GROUPS:
            raise ValueError(f"width: {self.width}; a multiple of {GROUPS}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: {self.betas}; two numbers, 0 to below 1, e.g. [0.9, 0.999]")
        if self.lr is not None and not 0 <= self.lr <= 1:
            raise ValueError(f"lr: {self.lr}; 0 to 1")


class VariationalScoreDistillation(Guidance):
    """dL/dx = w(t) (eps_s - eps_phi) (ProlificDreamer, eq. 9; arXiv 2305.16213), phi trained on the views themselves.

    phi predicts the noise of the views as they are now, told the camera: where it agrees with the teacher nothing pulls.
    After each step it is fitted to the step's views, which it sees as the teacher does. phi, its moments and counters are
    in the checkpoint. Without published counterpart: the small critic, and that the camera's embedding starts at 0.
    """

    name: ClassVar[str] = "vsd"
    Config: ClassVar[type[Any]] = VsdConfig
    extras: ClassVar[Mapping[str, str]] = {"peft": "peft"}

    def __init__(self, config: VsdConfig, teacher: Teacher) -> None:
        """Raises RecipeError if the critic is lora and peft is not there."""
        super().__init__(config, teacher)
        self.branches = (COND, NEGATIVE if config.negative else NULL)
        adaptable = isinstance(teacher.denoiser, AdaptableDenoiser)
        self._kind = config.critic if config.critic != "auto" else "lora" if adaptable else "small"
        self.adapts = self._kind == "lora"
        if self.adapts and find_spec("peft") is None:
            raise RecipeError(
                "guidance vsd: critic: lora needs peft, which is not installed; pip install 'zero3d[peft]', or set "
                "critic: small"
            )
        self._fit: Fit | None = None
        self._loss: float | None = None
        self._seen: tuple[Tensor, Cameras] | None = None

    def load(self, device: torch.device) -> None:
        """Make phi beside the loaded denoiser."""
        denoiser = self.teacher.denoiser
        critic = self._made(denoiser.network) if self.adapts else self._made(None).to(device)
        critic.initialise(torch.Generator().manual_seed(SEED))
        lr = RATES[self._kind] if self.config.lr is None else self.config.lr
        first, second = self.config.betas
        self._fit = Fit(critic, lr, self.config.warmup, self.config.weight_decay, (first, second), self.config.eps)

    def size(self, device: torch.device) -> tuple[int, int] | None:
        """What is trained, and its bytes with the gradient and two moments."""
        with torch.device("meta"):
            denoiser = self.teacher.denoiser
            if self.adapts and not isinstance(denoiser, AdaptableDenoiser):
                return None
            critic = self._made(denoiser.outline() if self.adapts else None)
        count = sum(parameter.numel() for parameter in critic.trained().values())
        return count, 4 * 4 * count

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        config, denoiser = self.config, self.teacher.denoiser
        at = noised_view(view, step, denoiser, config.times.t_range(step, len(denoiser.sigmas)))
        x0 = self._teachers(at, cameras, step)
        with torch.no_grad():
            phi = self._phis(at, cameras, step)
        weight = weight_of(config.weighting, at.sigma, denoiser.unit)
        limited = config.limits.limited(times(weight / at.sigma, phi - x0), step)
        self._seen = (at.y, cameras)
        figures = at.figures(x0) | {"critic_distance": float((phi - x0).abs().mean())}
        if self._loss is not None:
            figures["critic_loss"] = self._loss
        return ImageGradient(at.pull_back(limited), figures, at.pictures(x0))

    def after_step(self, step: Step) -> None:
        if self._seen is None:
            return
        (y, cameras), self._seen = self._seen, None
        for _ in range(self.config.updates):
            self._update(y, cameras, step.scoped("critic"))

    def critic_loss(self, y: Tensor, cameras: Cameras, step: Step) -> Tensor:
        """phi's loss, differentiable: fresh noise, timesteps from the whole list, cameras hidden by one coin."""
        denoiser = self.teacher.denoiser
        at = noised(y, step, denoiser, (0, len(denoiser.sigmas)))
        dropped = draws.uniform(step, "dropped") < self.config.camera_dropped
        with torch.enable_grad():
            x0 = self._asked(at, cameras, hidden=dropped)
            return critic_loss(x0, y, at.sigma, denoiser.unit, self.config.loss)

    def state_dict(self) -> dict[str, Any]:
        if self._fit is None:
            return {}
        return self._fit.state_dict() | ({} if self._loss is None else {"loss": self._loss})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        if "updates" not in state or self._fit is None:
            raise ValueError(f"it holds {', '.join(sorted(state)[:3]) or 'nothing'}, no critic's counters")
        self._fit.load_state_dict(state)
        loss = state.get("loss")
        self._loss = None if loss is None else float(loss)

    def _made(self, network: torch.nn.Module | None) -> Critic:
        denoiser = self.teacher.denoiser
        with torch.random.fork_rng(devices=[]):  # modules draw values when they are made, which `initialise` replaces
            if network is not None:
                return LoraCritic(denoiser, network, self.config.rank)
            return SmallCritic(denoiser.channels, denoiser.unit, denoiser.centre, self.config.width)

    @property
    def _critic(self) -> Critic:
        if self._fit is None:
            raise RuntimeError("load() first")
        return self._fit.critic

    def _teachers(self, at: Noised, cameras: Cameras, step: Step) -> Tensor:
        scale = self.config.guidance_scale(step)
        if not self.config.negative:
            return guided_x0(self.teacher, at.noised, at.sigma, cameras, scale)
        x0 = self.teacher.predict(at.noised, at.sigma, cameras, (COND, NEGATIVE))
        return guided(x0[NEGATIVE], x0[COND], scale)

    def _phis(self, at: Noised, cameras: Cameras, step: Step) -> Tensor:
        scale = self.config.critic_scale(step)
        posed = self._asked(at, cameras, hidden=False)
        return posed if scale == 1 else guided(self._asked(at, cameras, hidden=True), posed, scale)

    def _asked(self, at: Noised, cameras: Cameras, hidden: bool) -> Tensor:
        pose = poses(cameras).to(at.y)
        pose = torch.zeros_like(pose) if hidden else pose
        return self._critic.predict(at.noised, at.sigma, self.teacher.condition, cameras, pose)

    def _update(self, y: Tensor, cameras: Cameras, step: Step) -> None:
        assert self._fit is not None
        loss = self.critic_loss(y, cameras, step)
        half = self.adapts and self.teacher.denoiser.dtype == torch.float16
        self._fit.update(loss, half, step.index)
        self._loss = float(loss.detach())
