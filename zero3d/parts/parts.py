"""The parts of a run: what was built from a recipe, and what they are asked together."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from zero3d.errors import RecipeError
from zero3d.interfaces import Background, Representation
from zero3d.recipe.refusals import told_under

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zero3d.interfaces import (
        CameraSampler,
        Component,
        Denoiser,
        Encoder,
        EncoderTeacher,
        Exporter,
        Guidance,
        Observer,
        Reconstructor,
        Regularizer,
        Renderer,
        Teacher,
    )
    from zero3d.schedule import Schedule
    from zero3d.values import Cameras, Step, Subject


class White(Background):
    """White in the image space: what stands behind the object where a recipe names no background."""

    name: ClassVar[str] = "white"
    latent: ClassVar[bool] = True

    def paint(self, cameras: Cameras, step: Step, white: Tensor) -> Tensor:
        return white


@dataclass(frozen=True)
class GuidanceTerm:
    """A guidance with its weight; `sampler` is the camera sampler it draws from, `own` whether that is not the run's."""

    label: str
    guidance: Guidance
    weight: Schedule
    sampler: CameraSampler
    own: bool = False

    @cached_property
    def views(self) -> str:
        """The name of the views that are rendered for it alone."""
        return f"guidance.{self.label}"

    def cameras(self, step: Step) -> Cameras | None:
        """The views it wants for itself; None for the step's novel ones."""
        scoped = step.scoped(f"guidance.{self.label}.cameras")
        held = self.guidance.cameras(scoped, self.sampler)
        return self.sampler.sample(scoped) if held is None and self.own else held

    @property
    def decode(self) -> Callable[[Tensor], Tensor] | None:
        """Its denoiser's image space -> RGB; None if it asks no denoiser."""
        return self.guidance.teacher.denoiser.decode if self.guidance.asks == "denoiser" else None


@dataclass(frozen=True)
class RegularizerTerm:
    """A regularizer with its weight and the view it acts on."""

    label: str
    regularizer: Regularizer
    weight: Schedule
    view: str

    @cached_property
    def needs(self) -> frozenset[str]:
        """The declared needs and the view that the recipe chose."""
        chosen = {"novel": "novel_view", "near": "near_view"}.get(self.view, "input_view")
        return self.regularizer.needs | {chosen}


@dataclass
class Parts:
    """Everything a run consists of. `load` fills `white` and what the components read."""

    representation: Representation
    renderer: Renderer
    cameras: CameraSampler
    denoisers: dict[str, Denoiser]
    teachers: dict[str, Teacher]
    guidances: list[GuidanceTerm]
    regularizers: list[RegularizerTerm]
    observers: dict[str, Observer]
    exporters: dict[str, Exporter]
    device: torch.device
    encoders: dict[str, Encoder] = field(default_factory=dict)
    encoder_teachers: dict[str, EncoderTeacher] = field(default_factory=dict)
    background: Background = field(default_factory=lambda: White(None))
    start: Reconstructor | None = None
    white: Tensor = field(default_factory=lambda: torch.ones(3))

    @property
    def latent_denoiser(self) -> Denoiser | None:
        """The denoiser whose latent the representation is rendered in; None for RGB."""
        if self.representation.channels == 3:
            return None
        asked = [teacher.denoiser for teacher in self.teachers.values()]
        return next(d for d in (*asked, *self.denoisers.values()) if d.channels == self.representation.channels)

    @property
    def decode(self) -> Callable[[Tensor], Tensor]:
        """Image space of the representation -> RGB."""
        denoiser = self.latent_denoiser
        return (lambda image: image) if denoiser is None else denoiser.decode

    def components(self) -> Iterator[tuple[str, Component]]:
        """Every part of the optimisation by its key in the recipe, but the representation, whose state is its own.

        Denoisers and encoders that nothing asks are left out; `start` and exporters have their time before and after.
        """
        yield "cameras", self.cameras
        yield "renderer", self.renderer
        yield "background", self.background
        decoder = self.latent_denoiser
        asked = {id(teacher.denoiser) for teacher in self.teachers.values()} | {id(decoder)}
        asked |= {id(teacher.encoder) for teacher in self.encoder_teachers.values()}
        asked |= {id(term.regularizer.encoder) for term in self.regularizers}
        yield from ((f"denoisers.{label}", d) for label, d in self.denoisers.items() if id(d) in asked)
        yield from ((f"encoders.{label}", e) for label, e in self.encoders.items() if id(e) in asked)
        for term in self.guidances:
            yield f"guidance.{term.label}", term.guidance
            if term.own:
                yield f"guidance.{term.label}.cameras", term.sampler
        yield from ((f"regularizers.{term.label}", term.regularizer) for term in self.regularizers)
        yield from ((f"observers.{label}", observer) for label, observer in self.observers.items())

    def load(self) -> None:
        """Read what the optimisation needs, each part once, and what lies behind the object in the image space."""
        for component in (self.representation, *(component for _, component in self.components())):
            self._load(component)
        self._set_white()

    def load_decoder(self) -> None:
        """Read only what rendering and exporting need: no denoiser for RGB."""
        for component in filter(None, (self.representation, self.renderer, self.latent_denoiser)):
            self._load(component)
        self._set_white()

    def _load(self, component: Component) -> None:
        with told_under(component, component.key):
            component.load(self.device)

    def condition(self, subject_at: Callable[[int], Subject]) -> None:
        """Show the subject to every teacher. `subject_at(size)`: with pictures of that many pixels."""
        for teacher in self.teachers.values():
            teacher.subject = subject_at(teacher.denoiser.picture_resolution).to(self.device)
            with told_under(teacher.denoiser, teacher.denoiser.key):
                teacher.condition = teacher.denoiser.condition(teacher.subject)
        for encoded in self.encoder_teachers.values():
            encoded.subject = subject_at(encoded.encoder.picture_resolution or self.cameras.resolution).to(self.device)

    def reconstructed(self, subject_at: Callable[[int], Subject], step: Step) -> Representation | None:
        """What the recipe's `start` makes of the subject, to begin from; None without one.

        Raises:
            RecipeError: the representation cannot begin from that.
        """
        if self.start is None:
            return None
        self.start.load(self.device)
        with torch.no_grad():
            subject = subject_at(self.start.picture_resolution).to(self.device)
            made = self.start.reconstruct(subject, step.scoped("start"))
        if not isinstance(made, Representation):
            raise RecipeError(
                f"start: {self.start.name!r} made a {type(made).__name__}; reconstruct() must return a Representation"
            )
        if not self.representation.can_follow(made):
            raise RecipeError(
                f"start: representation {self.representation.name!r} cannot begin from the {type(made).__name__} that "
                f"{self.start.name!r} makes; remove it with start=null, or take another representation"
            )
        return made

    def _set_white(self) -> None:
        denoiser = self.latent_denoiser
        white = torch.ones(3) if denoiser is None else denoiser.background()
        self.white = white.to(self.device)
