"""The laws of a guidance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zero3d.diffusion import broadcast
from zero3d.geometry import orbit
from zero3d.interfaces import NULL, CameraSampler, Guidance, Teacher
from zero3d.testing.gaussian import GaussianConfig, GaussianDenoiser
from zero3d.testing.laws.common import Laws, fresh_step, random_view
from zero3d.testing.laws.state import check_state
from zero3d.values import Cameras, Step, View

VIEWS, STEPS = 32, 24
"""How many views are asked about, in how many steps, for a mean over noises and noise levels."""


def check_guidance(
    component: type[Guidance],
    config: Any = None,
    teacher: Teacher | None = None,
    linear: bool = True,
    prior: bool = True,
) -> None:
    """The laws of a guidance. Call it from a test with your class; the first broken one is an AssertionError of one line.

    - The gradient has the image's shape, is finite, carries no graph, and leaves the view as it was.
    - The same seed gives a fresh instance the same gradient; if it draws random numbers, another seed gives another one,
      and they come from `step.generator(name)` alone. Figures are finite floats; its pictures carry no graph.
    - What it remembers (held cameras, target pictures, a network of its own) is in `state_dict`: two steps, save, a fresh
      instance, load, two more give the gradients of four steps.
    - With a teacher whose answer is known it does what distillation must. Of the prior N(mu, s^2) in every pixel
      D(x + sigma n) = (s^2 (x + sigma n) + sigma^2 mu) / (s^2 + sigma^2), so that x - D has the mean
      sigma^2 / (s^2 + sigma^2) (x - mu) over the noise n. Whatever the weight w(sigma) > 0, however the levels are
      drawn and whatever the guidance scale (conditional and unconditional prior are one here), the mean gradient is
      c (x - mu) with one c > 0: a step downhill goes straight to the prior's mean, and there the mean gradient is 0.
    - With `prior=False`, for a guidance that sets the predictions against each other and so has no view of the prior: of a
      conditional prior N(mu, s^2) and one N(mu_0, s^2) without the condition, moving mu by d moves the mean gradient by
      -c d with one c > 0, and at mu = mu_0 it is 0: downhill leads the way that the condition points, and no other.

    Args:
        component: your class.
        config: its options, the defaults if None.
        teacher: what it is tried with for the plain laws, for a guidance that needs a certain one; the closed form is
            asked in a space of as many channels and pixels. None: pixels, 8 x 8.
        linear: False for a guidance that clips or normalises: then the mean gradient must point away from mu and vanish
            there, but need not be parallel to x - mu (to d).
        prior: False for a guidance that acts by the difference of the predictions alone (a pure classifier score).
    """
    laws = Laws(component)
    config = laws.default(component, config)
    teacher = teacher or Teacher(GaussianDenoiser(GaussianConfig(resolution=8)))
    size, channels = teacher.denoiser.resolution, teacher.denoiser.channels
    view, cameras = random_view(2, size, channels).detach(), orbit(20.0, torch.tensor([10.0, 200.0]), size)

    def made(teacher: Teacher) -> Guidance:
        guidance = component(config, teacher)
        guidance.load(torch.device("cpu"))
        return guidance

    _plain_laws(laws, lambda: made(teacher), view, cameras)
    check_state(laws, lambda: made(teacher), _one_step(size, channels))
    if prior:
        gaussian = Prior(channels, size)
        _closed_form(laws, lambda: made(Teacher(gaussian)), gaussian, size, linear)
    else:
        _classifier_law(laws, made, channels, size, linear)


class _Pair(CameraSampler):
    """Two views from a random azimuth."""

    name = "pair"
    views = 2

    def __init__(self, resolution: int) -> None:
        super().__init__(None)
        self.resolution = resolution

    def sample(self, step: Step) -> Cameras:
        start = 360 * torch.rand((), generator=step.generator("azimuth"))
        return orbit(20.0, start + torch.tensor([0.0, 190.0]), self.resolution)


def _one_step(size: int, channels: int) -> Callable[[Guidance, int], dict[str, Tensor]]:
    """As the engine has it: the cameras it wants, its gradient on a view of that step, and the end of the step."""

    def use(guidance: Guidance, index: int) -> dict[str, Tensor]:
        step, sampler = fresh_step(index, seed=index), _Pair(size)
        cameras = guidance.cameras(step.scoped("cameras"), sampler) or sampler.sample(step.scoped("sampler"))
        answer = guidance.gradient(random_view(2, size, channels, seed=index).detach(), cameras, step)
        guidance.after_step(step)
        return {**answer.gradients, "cameras": cameras.camera_to_world}

    return use


def _plain_laws(laws: Laws, make: Callable[[], Guidance], view: View, cameras: Cameras) -> None:
    before = view.image.clone()
    step = fresh_step()
    with laws.own_randomness(), laws.runs("it answers for any view", "gradient() fails"):
        first = make().gradient(view, cameras, step)
    found, asked = tuple(first.value.shape), tuple(before.shape)
    laws("the gradient has the image's shape", found == asked, f"{found} for an image of {asked}")
    laws("the gradient is finite", torch.isfinite(first.value).all(), "it holds nan or inf")
    laws("no graph", not first.value.requires_grad, "the gradient carries one; detach it")
    laws("the view is not changed", torch.equal(before, view.image), "view.image was written to")
    again = make().gradient(view, cameras, fresh_step())
    law = "same seed, same gradient"
    laws(law, torch.equal(first.value, again.value), "two calls differ; draw from step.generator(name) alone")
    if step.generators.state_dict():
        other = make().gradient(view, cameras, fresh_step(seed=1))
        differs = not torch.equal(first.value, other.value)
        laws("another seed, other noise", differs, "it draws random numbers, but seeds 0 and 1 give one gradient")
    _figures(laws, first.metrics)
    graphs = [name for name, picture in first.pictures.items() if picture.requires_grad]
    laws("pictures carry no graph", not graphs, f"{', '.join(graphs)} of ImageGradient.pictures")


def _figures(laws: Laws, metrics: Mapping[str, Any]) -> None:
    for name, value in metrics.items():
        good = isinstance(value, float) and math.isfinite(value)
        laws("figures are finite floats", good, f"metrics[{name!r}] is {value!r}")


class Prior(GaussianDenoiser):
    """A Gaussian in every pixel, the same with and without the condition, so that a guidance scale changes nothing.

    Over any number of channels; `mu` (C,) is its mean. `moved` (C,) is added to the mean but where there is no condition.
    """

    def __init__(self, channels: int, resolution: int, moved: Tensor | None = None) -> None:
        super().__init__(GaussianConfig(std=0.2, resolution=resolution))
        self.channels = channels
        self.mu = torch.linspace(0.2, 0.8, channels)
        self.moved = torch.zeros(channels) if moved is None else moved

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        variance, noise = self.config.std**2, broadcast(sigma, noised) ** 2
        mean = {branch: (self.mu if branch == NULL else self.mu + self.moved).to(noised) for branch in branches}
        return {branch: (variance * noised + noise * mean[branch]) / (variance + noise) for branch in branches}


def _closed_form(laws: Laws, make: Callable[[], Guidance], prior: Prior, size: int, linear: bool) -> None:
    law = "the mean gradient is that of a Gaussian prior"
    x = random_view(1, size, prior.channels).image.detach()
    away = (x - prior.mu)[0]
    with laws.runs(law, "gradient() fails for a Gaussian teacher"):
        mean, error = _mean_gradient(make, x)
        at_rest, rest_error = _mean_gradient(make, prior.mu.expand_as(x))
    slope = float((mean * away).sum() / away.square().sum())
    scale = float(mean.square().mean().sqrt())
    pull = slope * float(away.square().mean().sqrt())
    found = f"it must point from the prior's mean to x, but along x - mu it is {pull:.3g} (chance is {error:.2g})"
    laws(law, pull > 3 * error, found)
    if linear:
        beside = float((mean - slope * away).square().mean().sqrt())
        allowed = 3 * error + 1e-3 * scale
        laws(law, beside < allowed, f"c (x - mu), but {beside:.3g} of it (of {scale:.3g}) points elsewhere")
    rest = float(at_rest.square().mean().sqrt())
    allowed = 3 * rest_error + 1e-3 * scale
    laws(law, rest < allowed, f"0 where x is the prior's mean, but it is {rest:.3g} (elsewhere {scale:.3g})")


def _classifier_law(laws: Laws, make: Callable[[Teacher], Guidance], channels: int, size: int, linear: bool) -> None:
    law = "the condition moves the mean gradient its own way"
    x = random_view(1, size, channels).image.detach()
    move = torch.linspace(0.3, -0.2, channels)

    def answer(moved: Tensor) -> Tensor:
        return _mean_gradient(lambda: make(Teacher(Prior(channels, size, moved))), x)[0]

    with laws.runs(law, "gradient() fails for a Gaussian teacher"):
        here, there = answer(torch.zeros(channels)), answer(move)
    scale = float(there.square().mean().sqrt())
    rest = float(here.square().mean().sqrt())
    laws(law, rest <= 1e-3 * scale, f"0 where condition and none are one, but it is {rest:.3g} (elsewhere {scale:.3g})")
    change = there - here
    slope = float((change * -move).sum() / move.expand_as(change).square().sum())
    pull = slope * float(move.square().mean().sqrt())
    laws(law, pull > 1e-3 * scale, f"mu moved by d must move it by -c d with c > 0, but c |d| is {pull:.3g}")
    if linear:
        beside = float((change + slope * move).square().mean().sqrt())
        laws(law, beside < 1e-2 * scale, f"by -c d, but {beside:.3g} of it (of {scale:.3g}) points elsewhere")


def _mean_gradient(make: Callable[[], Guidance], x: Tensor) -> tuple[Tensor, float]:
    """The mean over noises of the gradient at x (1, H, W, C), and its standard error (root mean square over pixels)."""
    view = random_view(VIEWS, x.shape[1], x.shape[-1]).detach()
    view = replace(view, image=x.expand(VIEWS, -1, -1, -1).contiguous())
    cameras = orbit(20.0, 360 * torch.arange(VIEWS) / VIEWS, x.shape[1])
    steps = [Step(k, STEPS, fresh_step(seed=k).generators, "test") for k in range(STEPS)]
    told = torch.cat([make().gradient(view, cameras, step).value.double() for step in steps])
    spread = told.var(dim=0).mean() if len(told) > 1 else told.new_zeros(())
    return told.mean(dim=0), float((spread / len(told)).sqrt())
