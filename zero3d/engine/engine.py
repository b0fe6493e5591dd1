"""The optimisation step. It reads like the algorithm: sample cameras, render, ask the teachers, regularize, descend.

Each term is differentiated down to the rendered views first, so that its gradient's norm there can be logged and no
graph of one term lives while another runs; one backward pass through the renderer then serves all terms together.
Whoever wants to know what a single term does to the parameters asks between the two (`StepTerms.on_parameters`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zero3d.engine.answers import answered, blamed, finite, own_cameras, regularized
from zero3d.engine.optimizer import Optimizer
from zero3d.engine.rendering import Rendered, render_views, together
from zero3d.errors import RunError
from zero3d.geometry import check_cameras, orbit
from zero3d.interfaces.component import own_hook
from zero3d.random import Generators
from zero3d.values import Cameras, LossContext, Picture, Step, StepTerms, Subject, TermGradient, View

if TYPE_CHECKING:
    from zero3d.interfaces import Representation
    from zero3d.parts import GuidanceTerm, Parts, RegularizerTerm
    from zero3d.recipe import OptimizerOptions

    Renders = dict[str, Rendered]
    Figures = dict[str, Tensor | float]
    Inputs = dict[tuple[str, str], Tensor]

Look = Callable[[StepTerms], Mapping[str, float]]
"""Sees what each term says before anything moves, changes nothing, and returns figures to log."""
FINITE_EVERY = 16
"""Steps between two looks at every parameter; a nan that some view shows is found in the step after, and none is saved."""


class Engine:
    """A run's state: the parts, the optimizer and the random streams."""

    def __init__(
        self,
        parts: Parts,
        subject: Subject,
        optimizer_options: OptimizerOptions,
        total_steps: int,
        seed: int,
        pictures_per_step: int | None = None,
    ) -> None:
        """`subject`: pictures framed and square; each camera has the size that its view is rendered at.

        `pictures_per_step`: how many of them a step renders; None for all.
        """
        self.parts = parts
        self.subject = subject.to(parts.device)
        self._input_views = {name: posed.camera for name, posed in self.subject.named().items()}
        self.total_steps = total_steps
        self.pictures_per_step = pictures_per_step
        self.generators = Generators(seed)
        self._named: list[tuple[str, Tensor]] = []
        self.optimizer = Optimizer(optimizer_options, parts.representation, parts.background.parameters())

    @property
    def picture(self) -> Picture | None:
        """The first input picture."""
        return self.subject.pictures[0].picture if self.subject.pictures else None

    @property
    def input_camera(self) -> Cameras:
        """Where the first picture was taken from, at its view's size; in front of the object if there is none."""
        size = self.parts.cameras.resolution
        front = self.subject.pictures[0].camera if self.subject.pictures else input_camera_at(0.0).resized(size, size)
        return front.to(self.parts.device)

    def initialise(self, former: Representation | None = None) -> None:
        """Fill the representation before step 0, from a former stage's, or what a reconstructor made, if there is one."""
        with torch.no_grad():
            self.parts.representation.initialise(self.at(0).scoped("representation"))
            if former is not None:
                self.parts.representation.follow(former)

    def at(self, index: int) -> Step:
        """The step of that index with this run's random streams."""
        return Step(index, self.total_steps, self.generators)

    def step(self, index: int, look: Look | None = None) -> dict[str, float]:
        """One optimisation step. Returns the figures to log: per term its value, weight and gradient norm; and `look`'s.

        Raises:
            StepError: a term failed or answered what is no gradient, or something is no longer finite; nothing moved,
                unless the line says that the update did it.
        """
        step = self.at(index)
        guidances = [term for term in self.parts.guidances if term.weight(step) != 0]
        regularizers = [term for term in self.parts.regularizers if term.weight(step) != 0]

        rendered = self._render(self._cameras(step, guidances, regularizers), step, guidances, regularizers)
        figures: Figures = {}
        terms = [self._guide(term, rendered, step, figures) for term in guidances]
        inputs = self._inputs(rendered) if regularizers else {}
        terms += [self._regularize(term, rendered, inputs, step, figures) for term in regularizers]
        if look is not None:
            figures |= look(self._terms(step, rendered, terms))
        logged = self._logged(figures, terms, step)

        self.optimizer.zero_grad()
        self._backward(rendered, terms)
        self.optimizer.step(step)
        self._after_step(step, guidances)
        if index % FINITE_EVERY == 0 or index + 1 == self.total_steps:
            self.optimizer.check_finite(index)
        return logged

    def draw(self, cameras: Cameras) -> View:
        """The representation as it is now, on white, without a graph and without touching the random streams."""
        with torch.no_grad():
            needs = self.parts.renderer.provides - {"weights", "distances"}
            cameras = check_cameras(cameras, "cameras to draw").to(self.parts.device)
            view = self.parts.renderer.render(self.parts.representation, cameras, self.parts.white, needs)
        if not bool(view.image.isfinite().all()):
            bad = [name for name, value in self._parameters().items() if not bool(value.isfinite().all())]
            raise RunError(
                f"representation: its picture holds nan or inf{', as do ' + ', '.join(bad) if bad else ''}; it diverged, "
                "go back to an earlier run or lower optimizer.lr"
            )
        return view

    def _logged(self, figures: Figures, terms: list[TermGradient], step: Step) -> dict[str, float]:
        """The figures as numbers. What the last update made nan shows here first, and is blamed on it, not on a term."""
        figures |= {f"{term.label}.gradient": _norm(term) for term in terms}
        numbers = _to_floats(figures)
        if step.index and not all(map(math.isfinite, numbers.values())):
            self.optimizer.check_finite(step.index - 1)
        return finite(numbers, step)

    def _cameras(
        self, step: Step, guidances: list[GuidanceTerm], regularizers: list[RegularizerTerm]
    ) -> dict[str, Cameras]:
        """Which views are rendered in this step, by name: those that some term acts on or needs."""
        scoped, sampler = step.scoped("cameras"), self.parts.cameras
        needs = frozenset().union(*(term.needs for term in regularizers))
        own = {term.views: own_cameras(term, step) for term in guidances}
        chosen = {name: cameras for name, cameras in own.items() if cameras is not None}
        asked: dict[str, Cameras] = {}
        if len(chosen) < len(own) or needs & {"novel_view", "near_view"}:
            with blamed(step, "cameras"):
                sampled = sampler.sample(scoped)
            asked["novel"] = self._checked(sampled, step, "cameras")
        if "near_view" in needs:
            asked["near"] = self._checked(sampler.near(asked["novel"], scoped), step, "cameras: near view")
        if "input_view" in needs:
            asked |= self._input_cameras(step, {term.view for term in regularizers})
        return asked | {name: self._checked(own, step, f"{name}.cameras") for name, own in chosen.items()}

    def _input_cameras(self, step: Step, acted_on: set[str]) -> dict[str, Cameras]:
        """The first picture's, those that a term acts on alone, and others at random up to `pictures_per_step`."""
        named = self._input_views
        if self.pictures_per_step is None or self.pictures_per_step >= len(named):
            return named
        fixed = [name for name in named if name == "input" or name in acted_on]
        others = [name for name in named if name not in fixed]
        order = torch.randperm(len(others), generator=step.generator("pictures")).tolist()
        drawn = {others[i] for i in order[: max(0, self.pictures_per_step - len(fixed))]}
        return {name: camera for name, camera in named.items() if name in fixed or name in drawn}

    def _checked(self, cameras: Cameras, step: Step, place: str) -> Cameras:
        return check_cameras(cameras, f"step {step.index}: {place}").to(self.parts.device)

    def _render(
        self, asked: dict[str, Cameras], step: Step, guidances: list[GuidanceTerm], regularizers: list[RegularizerTerm]
    ) -> Renders:
        needs = frozenset().union(*(t.guidance.needs for t in guidances), *(t.needs for t in regularizers))
        return render_views(self.parts, asked, needs & (self.parts.renderer.provides | {"background"}), step)

    def _guide(self, term: GuidanceTerm, rendered: Renders, step: Step, figures: Figures) -> TermGradient:
        """<dL/dx, x> averaged over B: the teacher's gradient enters at the view, nothing leaks beyond it."""
        acts_on = term.views if term.views in rendered else "novel"
        target = rendered[acts_on]
        answer, weight = answered(term, target.leaf.detach(), target.cameras, step), term.weight(step)
        share = weight / len(target.cameras)
        weighted = {name: g if share == 1 else g * share for name, g in answer.gradients.items()}
        label = f"guidance.{term.label}"
        figures |= {f"{label}.{name}": value for name, value in answer.metrics.items()}
        figures |= {f"{label}.weight": weight, f"{label}.gradient": 0.0}
        decode = term.decode or self.parts.decode
        return TermGradient(label, acts_on, weight, {acts_on: weighted}, pictures=answer.pictures, decode=decode)

    def _inputs(self, rendered: Renders) -> Inputs:
        """What a penalty may fall on: the views' leaves by view and field, parameters by "" and their name."""
        leaves = {(view, name): t for view, r in rendered.items() for name, t in r.leaf.tensors().items()}
        return leaves | {("", name): parameter for name, parameter in self._parameters().items()}

    def _regularize(
        self, term: RegularizerTerm, rendered: Renders, inputs: Inputs, step: Step, figures: Figures
    ) -> TermGradient:
        """weight * d penalty on the rendered views, and what falls on parameters directly."""
        label, own, parts = f"regularizers.{term.label}", rendered[term.view], self.parts
        views = {name: r.leaf for name, r in rendered.items()}
        seen = (own.leaf, own.cameras, views, self.subject, parts.representation, parts.decode)
        context = LossContext(step.scoped(label), *seen)
        penalty, weight = regularized(term, context), term.weight(step)
        found: Inputs = {}
        if penalty.requires_grad:
            scale = torch.full_like(penalty, weight)
            gradients = torch.autograd.grad(penalty, list(inputs.values()), scale, allow_unused=True)
            found = {place: g for place, g in zip(inputs, gradients, strict=True) if g is not None}
        shown: dict[str, dict[str, Tensor]] = {}
        for (view, name), gradient in found.items():
            if view:
                shown.setdefault(view, {})[name] = gradient
        direct = tuple((inputs[place], gradient) for place, gradient in found.items() if not place[0])
        figures |= {f"{label}.value": penalty.detach(), f"{label}.weight": weight, f"{label}.gradient": 0.0}
        return TermGradient(label, term.view, weight, shown, direct, penalty.detach())

    def _backward(self, rendered: Renders, terms: Iterable[TermGradient]) -> None:
        """(dx/dtheta)^T of all terms, in one pass through the renderer, and what passes by it."""
        tensors, gradients = together(rendered, terms)
        if tensors:
            torch.autograd.backward(tensors, gradients)
        for term in terms:
            for parameter, gradient in term.direct:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _after_step(self, step: Step, guidances: list[GuidanceTerm]) -> None:
        """Tell those who do something then, and hold what the representation did against the optimizer's rows."""
        representation = self.parts.representation
        if own_hook(representation.after_step):
            with blamed(step, "representation: after_step"):
                representation.after_step(step.scoped("representation"), self.optimizer)
            self._named = []
            self.optimizer.check(step.index)
        for term in guidances:
            if own_hook(term.guidance.after_step):
                with blamed(step, f"{term.views}: after_step"):
                    term.guidance.after_step(step.scoped(term.views))

    def _parameters(self) -> dict[str, Tensor]:
        """Those that are optimised, by name; a representation may hold others fixed."""
        if not self._named:
            self._named = list(self.parts.representation.named_parameters())
        return {name: p for name, p in self._named if p.requires_grad}

    def _terms(self, step: Step, rendered: Renders, terms: list[TermGradient]) -> StepTerms:
        """What a `Look` sees; asking for a term's gradient on the parameters leaves graph and `.grad` as they are."""
        parameters = self._parameters()

        def on_parameters(term: TermGradient) -> dict[str, Tensor]:
            tensors, gradients = together(rendered, [term])
            found: tuple[Tensor | None, ...] = (None,) * len(parameters)
            if tensors:
                inputs = list(parameters.values())
                found = torch.autograd.grad(tensors, inputs, gradients, retain_graph=True, allow_unused=True)
            past_views = {id(parameter): gradient for parameter, gradient in term.direct}
            totals = {}
            for (name, parameter), gradient in zip(parameters.items(), found, strict=True):
                told = [g for g in (gradient, past_views.get(id(parameter))) if g is not None]
                totals[name] = torch.stack(told).sum(dim=0) if told else torch.zeros_like(parameter)
            return totals

        cameras = {name: r.cameras for name, r in rendered.items()}
        views = {name: r.leaf.detach() for name, r in rendered.items()}
        return StepTerms(step, cameras, views, tuple(terms), on_parameters)


def fit(
    engine: Engine, first_step: int, after: Callable[[int, dict[str, float]], bool], look: Look | None = None
) -> int:
    """Run the steps from `first_step`; `after(index, figures)` returns True to stop early. Returns the next index."""
    for index in range(first_step, engine.total_steps):
        if after(index, engine.step(index, look)):
            return index + 1
    return engine.total_steps


def input_camera_at(elevation_deg: float, azimuth_deg: float = 0.0) -> Cameras:
    """An input camera at distance 2 (one pixel; resize it); the first picture's is at azimuth 0."""
    return orbit(elevation_deg, azimuth_deg, 1)


def _norm(term: TermGradient) -> Tensor | float:
    """Of all that it says, on views and on parameters."""
    norms: list[Tensor] = [torch.linalg.vector_norm(g) for view in term.views.values() for g in view.values()]
    norms += [torch.linalg.vector_norm(gradient) for _, gradient in term.direct]
    if len(norms) == 1:
        return norms[0]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else 0.0


def _to_floats(figures: Figures) -> dict[str, float]:
    """One transfer from another device for all figures."""
    plain = {name: v.float() if isinstance(v, Tensor) else v for name, v in figures.items()}
    far = {name: v for name, v in plain.items() if isinstance(v, Tensor) and not v.is_cpu}
    if far:
        device = next(iter(far.values())).device
        numbers = torch.stack([t.reshape(()).to(device) for t in far.values()]).tolist()
        plain |= dict(zip(far, numbers, strict=True))
    return {name: float(value) for name, value in plain.items()}
