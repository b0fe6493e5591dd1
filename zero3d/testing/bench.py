"""A run small enough to watch: a ball, two cameras, one guidance and one regularizer through the real engine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from zero3d.engine import Engine, fit, input_camera_at
from zero3d.folder import MetricsLog
from zero3d.geometry import orbit
from zero3d.interfaces import CameraSampler, Guidance, Observer, Regularizer, RunView, Teacher
from zero3d.parts import GuidanceTerm, Parts, RegularizerTerm
from zero3d.recipe import OptimizerOptions
from zero3d.schedule import Schedule
from zero3d.testing.balls import BallRenderer
from zero3d.testing.gaussian import GaussianConfig, GaussianDenoiser
from zero3d.testing.samples import random_picture
from zero3d.testing.sphere import SphereConfig, SphereField
from zero3d.values import Cameras, ImageGradient, LossContext, Step, StepTerms, Subject, View, ViewGradient

SIZE, STEPS, VIEWS = 8, 4, 2


class _Around(CameraSampler):
    """Random azimuths."""

    name: ClassVar[str] = "around"
    resolution, views = SIZE, VIEWS

    def sample(self, step: Step) -> Cameras:
        return orbit(10.0, 360 * torch.rand(VIEWS, generator=step.generator("azimuth")), SIZE)


class _Pull(Guidance):
    """dL/dx = x - D(x + sigma n)."""

    name: ClassVar[str] = "pull"

    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        x = view.image
        sigma = self.teacher.denoiser.sigmas[500].expand(len(x))
        noised = x + sigma[0] * torch.randn(x.shape, generator=step.generator("noise"))
        x0 = self.teacher.denoise(noised, sigma, cameras, 1.0)
        shown = {"view": x, "noised": noised, "denoised": x0}
        return ImageGradient(x - x0, {"distance": float((x - x0).abs().mean())}, shown)


class _Thin(Regularizer):
    """Mean square of opacity."""

    name: ClassVar[str] = "thin"
    needs: ClassVar[frozenset[str]] = frozenset({"opacity"})
    default_weight: ClassVar[float] = 0.1

    def penalty(self, context: LossContext) -> Tensor:
        return context.view.opacity.square().mean()


def small_engine(terms: bool = True) -> Engine:
    """The engine of the small run before its first step; without `terms` nothing asks for anything."""
    teacher = Teacher(GaussianDenoiser(GaussianConfig(resolution=SIZE)))
    weight = Schedule.parse(1.0)
    parts = Parts(
        representation=SphereField(SphereConfig(density=3.0)),
        renderer=BallRenderer(None),
        cameras=_Around(None),
        denoisers={"denoiser": teacher.denoiser},
        teachers={"denoiser": teacher},
        guidances=[GuidanceTerm("pull", _Pull(None, teacher), weight, _Around(None))] if terms else [],
        regularizers=[RegularizerTerm("thin", _Thin(None), weight, "novel")] if terms else [],
        observers={},
        exporters={},
        device=torch.device("cpu"),
    )
    subject = Subject.of(random_picture(2 * SIZE), input_camera_at(20.0).resized(SIZE, SIZE))
    return Engine(parts, subject, OptimizerOptions("sgd", 0.02), STEPS, seed=0)


def watch(engine: Engine, observers: Sequence[Observer], folder: Path, first: int = 0, stop: int = STEPS) -> None:
    """Run the steps from `first` to before `stop` as `zero3d run` does, metrics.jsonl and observers included.

    `folder` is there; a run that stops before its last step ends as an interrupted one.
    """
    asked: list[bool] = []
    view = RunView(
        folder=folder,
        steps=engine.total_steps,
        first_step=first,
        picture=engine.picture,
        input_camera=engine.input_camera,
        draw=engine.draw,
        decode=lambda image: image,
        resolution=SIZE,
        representation=engine.parts.representation,
        stop=asked.append,
        stopping=lambda: bool(asked),
    )
    log = MetricsLog(folder, first)

    def after(index: int, figures: dict[str, float]) -> bool:
        record = {**figures, "seconds": 0.0}
        log.write(index, record)
        for observer in observers:
            observer.on_step(view, engine.at(index), record)
        return index + 1 == stop or bool(asked)

    def look(terms: StepTerms) -> dict[str, float]:
        return {name: value for observer in observers for name, value in observer.on_terms(view, terms).items()}

    try:
        for observer in observers:
            observer.on_start(view)
        reached = fit(engine, first, after, look)
    finally:
        log.close()
    for observer in observers:
        observer.on_end(view, reached == engine.total_steps)
