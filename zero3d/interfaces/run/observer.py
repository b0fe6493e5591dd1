"""Observer: behaviour during a run that the recipe names (previews, turntable, logs); it never changes the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces.component import Component
from zero3d.interfaces.scene.representation import Representation
from zero3d.values import Cameras, Picture, Step, StepTerms, View


@dataclass(frozen=True)
class RunView:
    """What an observer sees of a run: its folder, the length, and a way to render the representation as it is now.

    `picture`: the first input picture, prepared, or None. `input_camera`: where it was taken from; without a picture, in
    front of the object. `draw(cameras)` renders without a graph and without touching the run's random streams; `decode`
    makes RGB of it. `representation`: what is optimised, to be read between steps, never changed; None outside a run.
    `stop(export)`: ask the run to end after this step as Ctrl-C does, its checkpoint saved, with the exports of what there
    is or without; `stopping()`: whether somebody has asked, for an observer that makes the run wait.
    """

    folder: Path
    steps: int
    first_step: int
    picture: Picture | None
    input_camera: Cameras
    draw: Callable[[Cameras], View]
    decode: Callable[[Tensor], Tensor]
    resolution: int
    representation: Representation | None = None
    stop: Callable[[bool], None] = lambda export: None
    stopping: Callable[[], bool] = lambda: False


class Observer(Component):
    """Called in the recipe's order; every method has an empty default."""

    kind: ClassVar[str] = "observer"
    writes: ClassVar[tuple[str, ...]] = ()
    """What it leaves in the run's folder, for `zero3d run --dry-run`: "turntable.mp4", "previews/"."""
    always: ClassVar[bool] = False
    """Whether every run has it, at its defaults, unless the recipe says `observers: {NAME: null}`, or `observers: null`."""

    def check(self) -> None:
        """Before a run or a resume writes or loads anything; a plan, an export or an evaluation does not call it.

        Raises:
            UserError: what it needs of this machine now (a port, a key, a program) is not there.
        """

    def on_start(self, run: RunView) -> None:
        """Before the first step (also after a resume)."""

    def on_terms(self, run: RunView, terms: StepTerms) -> Mapping[str, float]:
        """Within each step, when every term has spoken and nothing has moved. Returns figures to log with the step's.

        What it sees must not be changed, and no random stream of the step drawn from.
        """
        return {}

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        """After each optimisation step, with the figures that went to metrics.jsonl."""

    def on_end(self, run: RunView, finished: bool) -> None:
        """After the last step (`finished`), or when the run was interrupted."""

    def on_exported(self, run: RunView) -> str:
        """After the models of a finished run (or stage) were written, or written again by `zero3d export`.

        Returns a line for the user, or "". Under `zero3d export` nothing is loaded but what drawing needs.
        """
        return ""
