"""The laws of a guidance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import CameraSampler, EncoderTeacher, Guidance, Teacher
from zero3d.testing.gaussian import GaussianConfig, GaussianDenoiser
from zero3d.testing.laws.common import Laws, same
from zero3d.testing.laws.joint import check_joint
from zero3d.testing.laws.prior import Prior
from zero3d.testing.laws.state import check_state
from zero3d.testing.samples import fresh_step, random_view
from zero3d.values import Cameras, Step, View

VIEWS, STEPS, FEW = 32, 24, 8
"""How many views are asked about, in how many steps, for a mean over noises and noise levels; FEW where both sides of a
difference see the same noise."""


def check_guidance(
    component: type[Guidance],
    config: Any = None,
    teacher: Teacher | EncoderTeacher | None = None,
    linear: bool = True,
    prior: bool | None = True,
) -> None:
    """The laws of a guidance. Call it from a test with your class; the first broken one is an AssertionError of one line.

    - Each gradient has its field's shape, is finite, carries no graph, and the view is left as it was.
    - The same seed gives a fresh instance the same gradient; if it draws random numbers, another seed gives another one,
      and they come from `step.generator(name)` alone. Figures are finite floats; its pictures carry no graph.
    - What it remembers (held cameras, target pictures, a network of its own) is in `state_dict`: two steps, save, a fresh
      instance, load, two more give the gradients of four steps.
    - With a teacher whose answer is known it does what distillation must. Of the prior N(mu, s^2) in every pixel
      D(x + sigma n) = (s^2 (x + sigma n) + sigma^2 mu) / (s^2 + sigma^2), so that x - D has the mean
      sigma^2 / (s^2 + sigma^2) (x - mu) over the noise n. Whatever the weight w(sigma) > 0, however the levels are
      drawn and whatever the guidance scale (conditional and unconditional prior are one here), the mean gradient is
      c (x - mu) with one c > 0: a step downhill goes straight to the prior's mean, and there the mean gradient is 0.
    - The condition leads: of a conditional prior N(mu + d, s^2) and one N(mu, s^2) without the condition, the mean
      gradient differs from that at d = 0 along -d.
    - A teacher that denoises groups of views jointly is asked for whole groups, each at one noise level, and each group
      gets the gradient of its own views and cameras, wherever it stands in the batch and whatever the others are.
    - With `prior=False`, for a guidance that sets the predictions against each other and so has no view of the prior: of a
      those two priors the mean gradient is -c d, and at d = 0 it is 0: downhill leads the way that the condition points,
      and no other.
    - With `prior=None`, for a guidance that sets the teacher against a network of its own, which begins with another view of
      the prior: the condition leads, and nothing is said of where the mean gradient is 0.
    - Of one that asks an encoder, or nobody, only the plain laws and that of its state are asked.

    Args:
        component: your class.
        config: its options, the defaults if None.
        teacher: what it is tried with for the plain laws, for a guidance that needs a certain one; the closed form is
            asked in a space of as many channels and pixels. None: pixels, 8 x 8. For one that asks an encoder: an
            EncoderTeacher of a loaded one and its subject.
        linear: False for a guidance that clips or normalises: then the mean gradient must point away from mu and vanish
            there, but need not be parallel to x - mu (to d).
        prior: False for a guidance that acts by the difference of the predictions alone (a pure classifier score), None for
            one that holds them against a network that it trains.
    """
    laws = Laws(component)
    config = laws.default(component, config)
    law = "what it asks is handed in"
    if component.asks == "denoiser" and teacher is None:
        teacher = Teacher(GaussianDenoiser(GaussianConfig(resolution=8)))
    wanted = {"denoiser": Teacher, "encoder": EncoderTeacher, None: type(None)}[component.asks]
    laws(law, isinstance(teacher, wanted), f"it asks {component.asks}; hand in a {wanted.__name__} of a loaded one")
    size, channels, views = 8, 3, 2
    if isinstance(teacher, Teacher):
        size, channels = teacher.denoiser.resolution, teacher.denoiser.channels
        views = max(2, teacher.denoiser.group)

    def made(teacher: Teacher | EncoderTeacher | None) -> Guidance:
        guidance = component(config, teacher) if teacher else component(config)
        guidance.load(torch.device("cpu"))
        return guidance

    view, cameras = _before_black(random_view(views, size, channels)), around(views, size)
    _plain_laws(laws, lambda: made(teacher), view, cameras)
    check_state(laws, lambda: made(teacher), _one_step(size, channels, views))
    if component.asks != "denoiser":
        return
    if prior:
        gaussian = Prior(channels, size)
        _closed_form(laws, lambda: made(Teacher(gaussian)), gaussian, size, linear)
    _condition_leads(laws, made, channels, size, linear, alone=prior is False)
    check_joint(laws, made, channels, size, linear)


class _Ring(CameraSampler):
    """Views in equal steps from a random azimuth."""

    name = "ring"

    def __init__(self, resolution: int, views: int) -> None:
        super().__init__(None)
        self.resolution, self.views, self.group = resolution, views, views

    def sample(self, step: Step) -> Cameras:
        return around(self.views, self.resolution, 360 * float(torch.rand((), generator=step.generator("azimuth"))))


def around(views: int, size: int, start: float = 10.0) -> Cameras:
    """Cameras of one elevation in equal steps of azimuth, degrees."""
    return orbit(20.0, start + 360 / views * torch.arange(views), size)


def _one_step(size: int, channels: int, views: int) -> Callable[[Guidance, int], dict[str, Tensor]]:
    """As the engine has it: the cameras it wants, its gradient on a view of that step, and the end of the step."""

    def use(guidance: Guidance, index: int) -> dict[str, Tensor]:
        step, sampler = fresh_step(index, seed=index), _Ring(size, views)
        cameras = guidance.cameras(step.scoped("cameras"), sampler) or sampler.sample(step.scoped("sampler"))
        answer = guidance.gradient(_before_black(random_view(views, size, channels, seed=index)), cameras, step)
        guidance.after_step(step)
        return {**answer.gradients, "cameras": cameras.camera_to_world}

    return use


def _before_black(view: View) -> View:
    """Detached, with what the engine adds for those that need "background"."""
    view = view.detach()
    return replace(view, extra={**view.extra, "background": torch.zeros_like(view.image)})


def _plain_laws(laws: Laws, make: Callable[[], Guidance], view: View, cameras: Cameras) -> None:
    before = {name: value.clone() for name, value in view.tensors().items()}
    step = fresh_step()
    with laws.own_randomness(), laws.runs("it answers for any view", "gradient() fails"):
        first = make().gradient(view, cameras, step)
    for name, value in first.gradients.items():
        found, asked = tuple(value.shape), tuple(before[name].shape) if name in before else "no such field"
        laws("each gradient has its field's shape", found == asked, f"{found} for {name} of {asked}")
        laws("the gradient is finite", torch.isfinite(value).all(), f"that of {name} holds nan or inf")
        laws("no graph", not value.requires_grad, f"the gradient of {name} carries one; detach it")
    laws("the view is not changed", same(before, view.tensors()), "a field of it was written to")
    again = make().gradient(view, cameras, fresh_step())
    law = "same seed, same gradient"
    laws(law, same(first.gradients, again.gradients), "two fresh ones differ; draw from step.generator(name) alone")
    if step.generators.state_dict():
        other = make().gradient(view, cameras, fresh_step(seed=1))
        differs = not same(first.gradients, other.gradients)
        laws("another seed, other noise", differs, "it draws random numbers, but seeds 0 and 1 give one gradient")
    _figures(laws, first.metrics)
    graphs = [name for name, picture in first.pictures.items() if picture.requires_grad]
    laws("pictures carry no graph", not graphs, f"{', '.join(graphs)} of ImageGradient.pictures")


def _figures(laws: Laws, metrics: Mapping[str, Any]) -> None:
    for name, value in metrics.items():
        good = isinstance(value, float) and math.isfinite(value)
        laws("figures are finite floats", good, f"metrics[{name!r}] is {value!r}")


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


def _condition_leads(
    laws: Laws, make: Callable[[Teacher], Guidance], channels: int, size: int, linear: bool, alone: bool
) -> None:
    """How the mean gradient follows the condition; `alone`: and is 0 where it says nothing."""
    law = "the condition moves the mean gradient its own way"
    x = random_view(1, size, channels).image.detach()
    move = torch.linspace(0.3, -0.2, channels)

    def answer(moved: Tensor) -> Tensor:
        return _mean_gradient(lambda: make(Teacher(Prior(channels, size, moved))), x, FEW)[0]

    with laws.runs(law, "gradient() fails for a Gaussian teacher"):
        here, there = answer(torch.zeros(channels)), answer(move)
    scale = float(there.square().mean().sqrt())
    rest = float(here.square().mean().sqrt())
    zero = rest <= 1e-3 * scale or not alone
    laws(law, zero, f"0 where condition and none are one, but it is {rest:.3g} (elsewhere {scale:.3g})")
    change = there - here
    slope = float((change * -move).sum() / move.expand_as(change).square().sum())
    pull = slope * float(move.square().mean().sqrt())
    laws(law, pull > 1e-3 * scale, f"mu moved by d must move it by -c d with c > 0, but c |d| is {pull:.3g}")
    if linear and alone:
        beside = float((change + slope * move).square().mean().sqrt())
        laws(law, beside < 1e-2 * scale, f"by -c d, but {beside:.3g} of it (of {scale:.3g}) points elsewhere")


def _mean_gradient(make: Callable[[], Guidance], x: Tensor, count: int = STEPS) -> tuple[Tensor, float]:
    """The mean over noises of the gradient at x (1, H, W, C), and its standard error (root mean square over pixels)."""
    view = random_view(VIEWS, x.shape[1], x.shape[-1]).detach()
    view = replace(view, image=x.expand(VIEWS, -1, -1, -1).contiguous())
    cameras = around(VIEWS, x.shape[1], 0.0)
    steps = [Step(k, count, fresh_step(seed=k).generators, "test") for k in range(count)]
    told = torch.cat([make().gradient(view, cameras, step).value.double() for step in steps])
    spread = told.var(dim=0).mean() if len(told) > 1 else told.new_zeros(())
    return told.mean(dim=0), float((spread / len(told)).sqrt())
