"""The optimisation step. It reads like the algorithm: sample cameras, draw, ask the teachers, regularize, descend.

Each term is differentiated down to the drawn views first, so that its gradient's norm there can be logged and no graph
of one term lives while another runs; one backward pass through the renderer then serves all terms together. Whoever
wants to know what a single term does to the parameters asks between the two (`StepTerms.on_parameters`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from zero3d.errors import RunError
from zero3d.geometry import check_cameras, orbit
from zero3d.interfaces import Representation
from zero3d.optimizer import make_optimizer, set_learning_rate
from zero3d.parts import VIEW_FIELDS, GuidanceTerm, Parts, RegularizerTerm
from zero3d.random import Generators
from zero3d.recipe import OptimizerOptions
from zero3d.values import Cameras, LossContext, Picture, Step, StepTerms, TermGradient, View

Look = Callable[[StepTerms], Mapping[str, float]]
"""Sees what each term says before anything moves, changes nothing, and returns figures to log."""


@dataclass
class _Drawn:
    """A rendered view, cut from its graph: terms see `leaf`."""

    cameras: Cameras
    view: View
    leaf: View


class Engine:
    """A run's state: the parts, the optimizer and the random streams."""

    def __init__(
        self,
        parts: Parts,
        picture: Picture,
        input_camera: Cameras,
        optimizer_options: OptimizerOptions,
        total_steps: int,
        seed: int,
    ) -> None:
        """`picture` is framed and square; `input_camera` has one camera, of any size."""
        self.parts = parts
        self.picture = picture.to(parts.device)
        self.total_steps = total_steps
        self.generators = Generators(seed)
        size = parts.cameras.resolution
        self.input_camera = input_camera.resized(size, size).to(parts.device)
        self.optimizer_options = optimizer_options
        self.optimizer = make_optimizer(optimizer_options, parts.representation)

    def initialise(self, former: Representation | None = None) -> None:
        """Fill the representation before step 0, from a former stage's if there is one."""
        with torch.no_grad():
            self.parts.representation.initialise(self.at(0).scoped("representation"))
            if former is not None:
                self.parts.representation.follow(former)

    def at(self, index: int) -> Step:
        """The step of that index with this run's random streams."""
        return Step(index, self.total_steps, self.generators)

    def step(self, index: int, look: Look | None = None) -> dict[str, float]:
        """One optimisation step. Returns the figures to log: per term its value, weight and gradient norm; and `look`'s."""
        step = self.at(index)
        guidances = [term for term in self.parts.guidances if term.weight(step) != 0]
        regularizers = [term for term in self.parts.regularizers if term.weight(step) != 0]

        needs = frozenset().union(*(t.guidance.needs for t in guidances), *(t.needs for t in regularizers))
        drawn = self._draw(self._cameras(step, guidances, needs), step, needs & VIEW_FIELDS)
        figures: dict[str, Tensor | float] = {}
        said = [self._guide(term, drawn, step, figures) for term in guidances]
        said += [self._regularize(term, drawn, step, figures) for term in regularizers]
        if look is not None:
            figures |= look(self._terms(step, drawn, said))

        self.optimizer.zero_grad(set_to_none=True)
        self._backward(drawn, said)
        set_learning_rate(self.optimizer, self.optimizer_options, step)
        self.optimizer.step()
        self.parts.representation.after_step(step)
        return _to_floats(figures)

    def draw(self, cameras: Cameras) -> View:
        """The representation as it is now, without a graph and without touching the random streams."""
        with torch.no_grad():
            needs = self.parts.renderer.provides - {"weights"}
            cameras = check_cameras(cameras, "cameras to draw").to(self.parts.device)
            view = self.parts.renderer.render(self.parts.representation, cameras, self.parts.background, needs)
        if not bool(view.image.isfinite().all()):
            bad = [name for name, value in self._parameters().items() if not bool(value.isfinite().all())]
            raise RunError(
                f"representation: its picture holds nan or inf{', as do ' + ', '.join(bad) if bad else ''}; it diverged, "
                "go back to an earlier run or lower optimizer.lr"
            )
        return view

    def _cameras(self, step: Step, guidances: list[GuidanceTerm], needs: frozenset[str]) -> dict[str, Cameras]:
        """Who is drawn in this step: the novel views, and others only if a term asks for them."""
        scoped = step.scoped("cameras")
        asked = {"novel": self._checked(self.parts.cameras.sample(scoped), step, "cameras")}
        if "near_view" in needs:
            asked["near"] = self._checked(self.parts.cameras.near(asked["novel"], scoped), step, "cameras: near view")
        if "input_view" in needs:
            asked["input"] = self.input_camera
        for term in guidances:
            if term.cameras is not None:
                own = step.scoped(f"guidance.{term.label}.cameras")
                asked[_own_views(term)] = self._checked(term.cameras.sample(own), step, f"{_own_views(term)}.cameras")
        return asked

    def _checked(self, cameras: Cameras, step: Step, place: str) -> Cameras:
        return check_cameras(cameras, f"step {step.index + 1}: {place}").to(self.parts.device)

    def _draw(self, asked: dict[str, Cameras], step: Step, needs: frozenset[str]) -> dict[str, _Drawn]:
        """Draw all views, those of one size in one call."""
        drawn: dict[str, _Drawn] = {}
        for size in dict.fromkeys((c.height, c.width, c.fov) for c in asked.values()):
            group = {name: c for name, c in asked.items() if (c.height, c.width, c.fov) == size}
            together = Cameras(torch.cat([c.camera_to_world for c in group.values()]), *size)
            views = self.parts.renderer.render(
                self.parts.representation, together, self.parts.background, needs, step.scoped("renderer")
            )
            start = 0
            for name, cameras in group.items():
                view = views[start : start + len(cameras)]
                drawn[name] = _Drawn(cameras, view, _leaf(view))
                start += len(cameras)
        return drawn

    def _guide(
        self, term: GuidanceTerm, drawn: dict[str, _Drawn], step: Step, figures: dict[str, Tensor | float]
    ) -> TermGradient:
        """<dL/dx, x> averaged over B: the teacher's gradient enters at the image, nothing leaks beyond it."""
        acts_on = _own_views(term) if term.cameras is not None else "novel"
        target = drawn[acts_on]
        scoped = step.scoped(f"guidance.{term.label}")
        gradient = term.guidance.gradient(target.leaf.detach(), target.cameras, scoped)
        weight = term.weight(step)
        weighted = gradient.value * (weight / len(target.cameras))
        figures |= {f"guidance.{term.label}.{name}": value for name, value in gradient.metrics.items()}
        figures |= {f"guidance.{term.label}.weight": weight, f"guidance.{term.label}.gradient": weighted.norm()}
        return TermGradient(
            f"guidance.{term.label}",
            acts_on,
            weight,
            {acts_on: {"image": weighted}},
            pictures=gradient.pictures,
            decode=term.guidance.teacher.denoiser.decode,
        )

    def _regularize(
        self, term: RegularizerTerm, drawn: dict[str, _Drawn], step: Step, figures: dict[str, Tensor | float]
    ) -> TermGradient:
        """weight * d penalty on the drawn views, and what falls on parameters directly."""
        context = LossContext(
            step=step.scoped(f"regularizers.{term.label}"),
            view=drawn[term.view].leaf,
            cameras=drawn[term.view].cameras,
            novel=drawn["novel"].leaf,
            near=drawn["near"].leaf if "near" in drawn else None,
            input=drawn["input"].leaf if "input" in drawn else None,
            picture=self.picture,
            representation=self.parts.representation,
            decode=self.parts.decode,
        )
        penalty = term.regularizer.penalty(context)
        weight = term.weight(step)
        places = [(view, name, tensor) for view, d in drawn.items() for name, tensor in _tensors(d.leaf)]
        parameters = list(self._parameters().values())
        gradients: tuple[Tensor | None, ...] = (None,) * (len(places) + len(parameters))
        if penalty.requires_grad:
            inputs = [tensor for _, _, tensor in places] + parameters
            gradients = torch.autograd.grad(weight * penalty, inputs, allow_unused=True)
        views: dict[str, dict[str, Tensor]] = {}
        for (view, name, _), gradient in zip(places, gradients, strict=False):
            if gradient is not None:
                views.setdefault(view, {})[name] = gradient
        told = [gradient for gradient in gradients if gradient is not None]
        norm = torch.stack([g.norm() for g in told]).norm() if told else 0.0
        figures |= {
            f"regularizers.{term.label}.value": penalty.detach(),
            f"regularizers.{term.label}.weight": weight,
            f"regularizers.{term.label}.gradient": norm,
        }
        past_views = zip(parameters, gradients[len(places) :], strict=True)
        direct = tuple((parameter, gradient) for parameter, gradient in past_views if gradient is not None)
        label = f"regularizers.{term.label}"
        return TermGradient(label, term.view, weight, views, direct, penalty.detach())

    def _backward(self, drawn: dict[str, _Drawn], said: Iterable[TermGradient]) -> None:
        """(dx/dtheta)^T of everything said, in one pass through the renderer, and what was said past it."""
        tensors, gradients = _together(drawn, said)
        if tensors:
            torch.autograd.backward(tensors, gradients)
        for term in said:
            for parameter, gradient in term.direct:
                parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def _parameters(self) -> dict[str, Tensor]:
        """Those that are optimised, by name; a representation may hold others fixed."""
        return {name: p for name, p in self.parts.representation.named_parameters() if p.requires_grad}

    def _terms(self, step: Step, drawn: dict[str, _Drawn], said: list[TermGradient]) -> StepTerms:
        """What a `Look` sees; asking for a term's gradient on the parameters leaves graph and `.grad` as they are."""
        parameters = self._parameters()

        def on_parameters(term: TermGradient) -> dict[str, Tensor]:
            tensors, gradients = _together(drawn, [term])
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

        cameras = {name: d.cameras for name, d in drawn.items()}
        views = {name: d.leaf.detach() for name, d in drawn.items()}
        return StepTerms(step, cameras, views, tuple(said), on_parameters)


def fit(
    engine: Engine, first_step: int, after: Callable[[int, dict[str, float]], bool], look: Look | None = None
) -> int:
    """Run the steps from `first_step`; `after(index, figures)` returns True to stop early. Returns the next index."""
    for index in range(first_step, engine.total_steps):
        figures = engine.step(index, look)
        if after(index, figures):
            return index + 1
    return engine.total_steps


def input_camera_at(elevation_deg: float) -> Cameras:
    """The input camera: azimuth 0, distance 2 (one pixel; resize it)."""
    return orbit(elevation_deg, 0.0, 1)


def _own_views(term: GuidanceTerm) -> str:
    return f"guidance.{term.label}"


def _tensors(view: View) -> list[tuple[str, Tensor]]:
    values = [(f.name, getattr(view, f.name)) for f in fields(view)]
    return [(name, tensor) for name, tensor in values if tensor is not None]


def _leaf(view: View) -> View:
    return View(**{name: tensor.detach().requires_grad_() for name, tensor in _tensors(view)})


def _together(drawn: dict[str, _Drawn], said: Iterable[TermGradient]) -> tuple[list[Tensor], list[Tensor]]:
    """The drawn tensors that any of these terms speaks of, and the sum of what they say of each."""
    sums: dict[str, dict[str, Tensor]] = {view: {} for view in drawn}
    for term in said:
        for view, told in term.views.items():
            for name, gradient in told.items():
                sums[view][name] = sums[view][name] + gradient if name in sums[view] else gradient
    pairs = [
        (getattr(drawn[view].view, name), gradient) for view, told in sums.items() for name, gradient in told.items()
    ]
    pairs = [pair for pair in pairs if pair[0].requires_grad]
    return [tensor for tensor, _ in pairs], [gradient for _, gradient in pairs]


def _to_floats(figures: dict[str, Tensor | float]) -> dict[str, float]:
    """One transfer from the device for all figures."""
    tensors = {name: value for name, value in figures.items() if isinstance(value, Tensor)}
    if not tensors:
        return {name: float(value) for name, value in figures.items()}
    moved = dict(zip(tensors, torch.stack([t.float().reshape(()) for t in tensors.values()]).tolist(), strict=True))
    return {name: moved[name] if name in moved else float(value) for name, value in figures.items()}
