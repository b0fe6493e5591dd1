"""Combinations of a teacher's named predictions; a branch that a combination does without is not computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from zero3d.diffusion import broadcast, eps_from_x0, guided, x0_from_eps
from zero3d.interfaces import COND, NULL, Teacher
from zero3d.values import Cameras
from zero3d_score.shared import perp_neg


def eps_of(
    teacher: Teacher, noised: Tensor, sigma: Tensor, cameras: Cameras, branches: Sequence[str]
) -> dict[str, Tensor]:
    """eps = (noised - D) / sigma of each branch, (B, h, w, C); none asked, no call. `sigma` (B,)."""
    x0 = teacher.predict(noised, sigma, cameras, tuple(branches)) if branches else {}
    return {name: eps_from_x0(noised, x, sigma) for name, x in x0.items()}


def weighted_sum(eps: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor | float:
    """Of the predictions whose weight is not 0; 0 if there is none."""
    return sum((weight * eps[name] for name, weight in weights.items() if weight), 0.0)


def guided_x0(
    teacher: Teacher, noised: Tensor, sigma: Tensor, cameras: Cameras, scale: float, with_perp_neg: bool = False
) -> Tensor:
    """x0 under guidance, (B, h, w, C): null + s (cond - null); with Perp-Neg, cond's negatives are counted off too.

    eps = eps_0 + s (p + sum_i q_i perp(eps_i - eps_0, p)), p = eps_cond - eps_0, q_i by each view's azimuth.
    """
    if not with_perp_neg:
        return teacher.denoise(noised, sigma, cameras, scale)
    above = teacher.denoiser.overhead_deg
    eps = eps_of(teacher, noised, sigma, cameras, (COND, NULL, *perp_neg.active_branches(cameras, above)))
    positive = eps[COND] - eps[NULL]
    aside = perp_neg.total(eps, eps[NULL], positive, cameras, above)
    return x0_from_eps(noised, eps[NULL] + scale * (positive + aside), sigma)


def rescaled_x0(
    teacher: Teacher, noised: Tensor, sigma: Tensor, cameras: Cameras, scale: float, rescale: float
) -> Tensor:
    """Guided x0 whose spread is drawn back to the conditional one's, over each group of views jointly.

    (f r + 1 - f) D_s with r = std(D_cond) / std(D_s) and f = `rescale`, 0 to 1, about the space's centre: MVDream's
    reconstruction (arXiv 2308.16512), after arXiv 2305.08891, section 3.4.
    """
    x0 = teacher.predict(noised, sigma, cameras, (COND, NULL))
    mixed = guided(x0[NULL], x0[COND], scale)
    group, centre = teacher.denoiser.group, teacher.denoiser.centre
    spreads = [x.reshape(len(x) // group, -1).std(dim=1) for x in (x0[COND], mixed)]
    ratio = (spreads[0] / (spreads[1] + 1e-8)).repeat_interleave(group)
    factor = broadcast(rescale * ratio + (1 - rescale), mixed)
    return centre + factor * (mixed - centre)


def times(weight: Tensor, gradient: Tensor) -> Tensor:
    """(B,) weights on (B, h, w, C)."""
    return broadcast(weight, gradient) * gradient
