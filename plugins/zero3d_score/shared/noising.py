"""A view noised to a level of its teacher's: where every score guidance begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from zero3d.diffusion import broadcast
from zero3d.interfaces import Denoiser
from zero3d.values import Step, View
from zero3d_score.shared import draws
from zero3d_score.shared.space import to_teacher


@dataclass(frozen=True)
class Noised:
    """y: the view in the teacher's space; noised = y + sigma noise; all (B, h, w, C), without a graph. sigma, t: (B,)."""

    y: Tensor
    noised: Tensor
    noise: Tensor
    sigma: Tensor
    t: Tensor
    pull_back: Callable[[Tensor], Tensor]

    def pictures(self, x0: Tensor) -> dict[str, Tensor]:
        """What can be shown, in the teacher's space; `x0` is its answer."""
        return {"view": self.y, "noised": self.noised, "denoised": x0}

    def figures(self, x0: Tensor) -> dict[str, float]:
        """What is worth logging."""
        return {"sigma": float(self.sigma.mean()), "distance": float((x0 - self.y).abs().mean())}


def noised_view(view: View, step: Step, denoiser: Denoiser, t_range: tuple[int, int], shared: bool = False) -> Noised:
    """The view with noise of a timestep uniform in [low, high), one a group, or one `shared` by all.

    Streams "sigma" and "noise".
    """
    y, pull_back = to_teacher(view.image.detach(), denoiser)
    return noised(y, step, denoiser, t_range, shared, pull_back)


def noised(
    y: Tensor,
    step: Step,
    denoiser: Denoiser,
    t_range: tuple[int, int],
    shared: bool = False,
    pull_back: Callable[[Tensor], Tensor] = lambda gradient: gradient,
) -> Noised:
    """The same of what is in the teacher's space already."""
    t = draws.timesteps(len(y), t_range, len(y) if shared else denoiser.group, step)
    sigma, noise = draws.levels(denoiser, t, y), draws.normal(y, step)
    return Noised(y, y + broadcast(sigma, y) * noise, noise, sigma, t, pull_back)
