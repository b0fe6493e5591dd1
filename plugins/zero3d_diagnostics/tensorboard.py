"""A run's figures and previews for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy
from PIL import Image

from zero3d import RecipeError
from zero3d.interfaces import Observer, RunView
from zero3d.values import Step


@dataclass
class TensorBoardConfig:
    """`every`: steps between the figures that are passed on. `pictures`: whether previews are, too."""

    every: int = 1
    pictures: bool = True

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")


class TensorBoard(Observer):
    """All figures of metrics.jsonl, and the previews of other observers, as TensorBoard events in tensorboard/.

    `tensorboard --logdir runs` shows them: scalars by the number of their step, as in metrics.jsonl, under their term
    ("guidance.sds/gradient"), and every picture FOLDER/step_N.png of the run, by the number of steps done. A resumed
    run goes on in the same curves. Needs the package tensorboard. The events are written by a thread of their own.
    """

    name: ClassVar[str] = "tensorboard"
    extras: ClassVar[Mapping[str, str]] = {"tensorboard": "tensorboard"}
    Config: ClassVar[type[Any]] = TensorBoardConfig
    writes: ClassVar[tuple[str, ...]] = ("tensorboard/",)

    def __init__(self, config: TensorBoardConfig) -> None:
        """Raises RecipeError where the package is missing."""
        super().__init__(config)
        if find_spec("tensorboard") is None:
            raise RecipeError(
                "observers.tensorboard: needs the package tensorboard, which is not installed; "
                "pip install 'zero3d[tensorboard]', or remove it with observers.tensorboard=null"
            )

    def on_start(self, run: RunView) -> None:
        from torch.utils.tensorboard import SummaryWriter

        purge = run.first_step or None  # a resumed run does some steps again
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=purge, flush_secs=10)
        self._done = run.first_step
        self._sent: set[Path] = set(_pictures(run, "step_*.png"))

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        self._done = done = step.index + 1
        if done % self.config.every == 0 or done == run.steps:
            for name, value in metrics.items():
                if isinstance(value, (int, float)):
                    self._writer.add_scalar(tag(name), value, step.index)
        # observers that come later in the recipe write theirs after this one's turn
        self._send(run, step.index)
        self._send(run, done)

    def on_end(self, run: RunView, finished: bool) -> None:
        self._send(run, self._done)
        self._writer.close()

    def _send(self, run: RunView, done: int) -> None:
        if not self.config.pictures:
            return
        for path in _pictures(run, f"step_{done:06d}.png"):
            if path not in self._sent:
                self._sent.add(path)
                pixels = numpy.asarray(Image.open(path).convert("RGB"))
                self._writer.add_image(path.parent.name, pixels, done, dataformats="HWC")


def _pictures(run: RunView, pattern: str) -> list[Path]:
    return sorted(run.folder.glob(f"*/{pattern}"))


def tag(name: str) -> str:
    """TensorBoard groups by what stands before the slash: "guidance.sds.weight" -> "guidance.sds/weight"."""
    parts = name.split(".")
    return f"{'.'.join(parts[:2])}/{'.'.join(parts[2:])}" if len(parts) > 2 else name
