"""The observer: a run's model in the browser while it is optimised, with its hand on the brake."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy
import torch

from zero3d import folder
from zero3d.gate import listen, open_page
from zero3d.interfaces import Observer, RunView
from zero3d.values import Cameras, Step, StepTerms
from zero3d_viewer.control import Control, Pace, Rate
from zero3d_viewer.curves import Curves
from zero3d_viewer.page import Page
from zero3d_viewer.server import FILE, Address, address_of, check_installed, of_run
from zero3d_viewer.shapes import shape_of

PLACE = "observers.viewer"
SHARE = 0.2
"""Of the run's time that goes into showing it, to those who look."""
TEACHER = (1.0, 0.05)
"""How often the teacher's pictures are shown, a second, and their share of the time: a latent's cost a decoder each."""
SIDE = 96
"""Pixels of a render's shorter side."""


@dataclass
class ViewerConfig:
    """`host`: the address it is served at; any but the loopback one needs a token. `port`: 0 takes any free one; without it
    8080, or the next free one. `token`: what visitors must know, 16 characters or more, or auto. `origins`: of pages that
    may hold this one in a frame. `rate`: pictures a second, 0.1 to 5. `show`: model, or render for the run's own
    renderer. `detail`: cells along a field's longest side, 8 to 128. `splats`: sent at the most, 100 to 500000. `open`:
    whether to open a browser.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    token: str = ""
    origins: list[str] = field(default_factory=list)
    rate: float = 4.0
    show: str = "model"
    detail: int = 48
    splats: int = 20000
    open: bool = False

    def __post_init__(self) -> None:
        self.address.check()
        if not 0.1 <= self.rate <= 5:
            raise ValueError(f"rate: {self.rate}; 0.1 to 5 pictures a second")
        if self.show not in ("model", "render"):
            raise ValueError(f"show: {self.show!r}; model or render")
        if not 8 <= self.detail <= 128:
            raise ValueError(f"detail: {self.detail}; 8 to 128 cells")
        if not 100 <= self.splats <= 500_000:
            raise ValueError(f"splats: {self.splats}; 100 to 500000")

    @property
    def address(self) -> Address:
        return address_of(self.host, self.port, self.token, self.origins)


class Viewer(Observer):
    """The model turning in a browser while it is optimised: cameras, teacher's pictures, curves; pause, step, stop.

    Serves a page at http://127.0.0.1:8080, or the next free port, said on stderr and in viewer.json of the run's folder
    while it lasts. A mesh is sent as it is, Gaussians as splats, a field as splats at the cells of its surface, anything
    else (a latent) as the run's own render. Sent `rate` times a second at the most, in a fifth of the run's time at the
    most, and nothing while nobody looks. "Stop and export" ends the run as Ctrl-C does, with its exports; `zero3d resume`
    goes on. Needs viser.
    """

    name: ClassVar[str] = "viewer"
    extras: ClassVar[Mapping[str, str]] = {"viewer": "viser"}
    Config: ClassVar[type[Any]] = ViewerConfig
    writes: ClassVar[tuple[str, ...]] = (FILE,)

    def __init__(self, config: ViewerConfig) -> None:
        """Raises RecipeError where viser is missing."""
        super().__init__(config)
        check_installed(PLACE)

    def check(self) -> None:
        """Raises RunError where the port is in use."""
        listen(self.config.address, PLACE).close()

    def on_start(self, run: RunView) -> None:
        """Raises RunError where the port has been taken since `check`."""
        config = self.config
        self.control = Control()
        self._pace, self._teacher_pace = Pace(config.rate, SHARE), Pace(*TEACHER)
        self._steps_rate, self._sent_rate = Rate(), Rate()
        self._curves, self._done = Curves(), run.first_step
        self._sent: tuple[int, bool] | None = None
        self._cameras: dict[str, Cameras] = {}
        self._teacher: dict[str, dict[str, numpy.ndarray]] = {}
        self._eye: Cameras | None = None
        if run.first_step:
            self._curves.read(run.folder, run.first_step)
        self.server, again = of_run(config.address, PLACE, folder.whole_run(run.folder).absolute())
        self.page = Page(self.server.viser, self.control)
        self.page.want(render=config.show == "render")
        self._exhibit = self.page.exhibit("run")
        self.page.look_from(0.0, 1.4)  # so far that the input camera is in sight
        self.page.frusta(self._exhibit, "input", run.input_camera, run.picture)
        self.server.write(run.folder)
        print(f"viewer: {self.server.url}", file=sys.stderr, flush=True)
        if config.open and not again:
            open_page(self.server.url)

    def on_terms(self, run: RunView, terms: StepTerms) -> Mapping[str, float]:
        if self.server.clients and self._pace.due():
            self._cameras = {name: cameras for name, cameras in terms.cameras.items() if not name.startswith("input")}
            if self._teacher_pace.due():
                with self._teacher_pace.working(), torch.no_grad():
                    for term in terms.terms:
                        if term.pictures and term.decode is not None:
                            self._teacher[term.label.removeprefix("guidance.")] = {
                                name: _rgb(term.decode(picture[:1])) for name, picture in term.pictures.items()
                            }
        return {}

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        self._done = step.index + 1
        self._curves.add(step.index, metrics)
        self._steps_rate.count()
        self._send(run)
        if self._done < run.steps:
            self.control.wait(run.stopping, lambda: self._send(run))
        if self.control.stopped:
            run.stop(True)

    def on_end(self, run: RunView, finished: bool) -> None:
        server = getattr(self, "server", None)
        if server is not None:
            self.page.close()
            server.close(run.folder)

    def _send(self, run: RunView) -> None:
        """What has changed, if somebody looks and it is time."""
        if not self.server.clients or not self._pace.due():
            return
        renders = self.page.renders
        eye = self.page.eye() if renders else None
        moved = eye is not None and (self._eye is None or not eye.same_as(self._eye))
        now = (self._done, renders)
        status = self._line(run)
        if now == self._sent and not moved:
            self.page.say(status)
            return
        with self._pace.working():
            self._sent, self._eye = now, eye
            self._draw(run, eye)
            for name, cameras in self._cameras.items():
                self.page.frusta(self._exhibit, name, cameras)
            for label, pictures in self._teacher.items():
                self.page.teacher(label, pictures)
            self._teacher = {}
            self.page.curves(self._curves)
            self._sent_rate.count()
            self.page.say(status)

    def _draw(self, run: RunView, eye: Cameras | None) -> None:
        shape = None
        if not self.page.renders and run.representation is not None:
            shape = shape_of(run.representation, self.config.detail, self.config.splats)
            if shape is None:
                self.page.want(render=True)
                return
        self.page.show(self._exhibit, shape)
        self.page.background(None if eye is None else _rgb(run.decode(run.draw(_sized(eye, run)).image)))

    def _line(self, run: RunView) -> str:
        held = " · **paused**" if self.control.paused else ""
        steps, sent = self._steps_rate.now, self._sent_rate.now
        return f"step {self._done} of {run.steps} · {steps:.1f} steps/s · {sent:.1f} pictures/s{held}"


def _sized(eye: Cameras, run: RunView) -> Cameras:
    """At the run's own resolution, for a decoder expects it, but not above what is sent in time."""
    side = min(run.resolution, SIDE)
    return eye.resized(side, max(1, round(side * eye.width / eye.height)))


def _rgb(images: torch.Tensor) -> numpy.ndarray:
    """(1, H, W, 3) -> (H, W, 3) in [0, 1]."""
    return numpy.asarray(images[0].detach().clamp(0, 1).float().cpu().numpy())
