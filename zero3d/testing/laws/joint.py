"""The laws of a guidance whose teacher denoises several views jointly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import Guidance, Teacher
from zero3d.testing.laws.common import Laws
from zero3d.testing.laws.prior import Prior
from zero3d.testing.samples import fresh_step, random_view
from zero3d.values import Cameras, View

GROUP = 4


class _Joint(Prior):
    """Four views at once: each is drawn towards what it has of its group, and towards a colour of its azimuth."""

    group = GROUP

    def __init__(self, laws: Laws, channels: int, resolution: int) -> None:
        super().__init__(channels, resolution, torch.linspace(0.3, -0.2, channels))
        self._laws = laws

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        law = "a joint teacher is asked for whole groups, each at one level"
        views = (len(noised), len(sigma), len(cameras))
        whole = len(set(views)) == 1 and len(noised) % GROUP == 0
        self._laws(law, whole, f"{views} views, levels and cameras for a teacher of {GROUP} views at once")
        levels = sigma.reshape(-1, GROUP)
        self._laws(law, (levels == levels[:, :1]).all(), f"the levels of a group are {levels[0].tolist()}")
        x0 = super().predict(noised, sigma, condition, cameras, branches)
        tint = 0.1 * cameras.azimuth.cos()[:, None, None, None].to(noised)
        groups = {name: x.reshape(-1, GROUP, *x.shape[1:]) for name, x in x0.items()}
        mean = {name: x.mean(dim=1).repeat_interleave(GROUP, dim=0) for name, x in groups.items()}
        return {name: 0.5 * x + 0.5 * mean[name] + tint for name, x in x0.items()}


def check_joint(laws: Laws, make: Callable[[Teacher], Guidance], channels: int, size: int, linear: bool) -> None:
    """Two groups in either order, and each twice: a group's gradient is that of its views and of its place's noise."""
    law = "each group gets the gradient of its own views"
    view = random_view(2 * GROUP, size, channels).detach()
    azimuth = torch.cat([start + 360 / GROUP * torch.arange(GROUP) for start in (10.0, 40.0)])
    cameras, groups = orbit(20.0, azimuth, size), torch.arange(2 * GROUP).reshape(2, GROUP)
    answers = {}
    for order in product((0, 1), repeat=2):
        rows = groups[list(order)].flatten()
        own: dict[str, Any] = {name: tensor[rows] for name, tensor in view.tensors().items()}
        with laws.runs(law, "gradient() fails for a teacher of four views at once"):
            answer = make(Teacher(_Joint(laws, channels, size))).gradient(View(**own), cameras[rows], fresh_step())
        answers[order] = answer.value.reshape(2, GROUP, size, size, channels)
        if not linear:  # clipped or normalised over the batch: the direction alone is the group's own
            length = answers[order].flatten(1).norm(dim=1).clamp(min=1e-12)
            answers[order] = answers[order] / length[:, None, None, None, None]
    for order, found in answers.items():
        for place, group in enumerate(order):
            expected = answers[group, group][place]
            off, scale = float((found[place] - expected).abs().max()), float(expected.abs().max())
            told = f"beside other views a group's differs by {off:.3g} (of {scale:.3g})"
            laws(law, off <= 1e-3 * scale, told)
