"""A run's figures and previews for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy
from PIL import Image

from zero3d.interfaces import RunView
from zero3d_diagnostics.logs.sending import Sending, tag


@dataclass
class TensorBoardConfig:
    """`every`: steps between the figures that are passed on. `pictures`: whether previews are, too."""

    every: int = 1
    pictures: bool = True

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")


class TensorBoard(Sending):
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
        super().__init__(config, config.every, config.pictures)

    def on_start(self, run: RunView) -> None:
        from torch.utils.tensorboard import SummaryWriter

        super().on_start(run)
        purge = run.first_step or None  # a resumed run does some steps again
        self._writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=purge, flush_secs=10)

    def on_end(self, run: RunView, finished: bool) -> None:
        super().on_end(run, finished)
        self._writer.close()

    def figures(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(tag(name), value, step)

    def picture(self, folder: str, path: Path, done: int) -> None:
        with Image.open(path) as opened:
            self._writer.add_image(folder, numpy.asarray(opened.convert("RGB")), done, dataformats="HWC")
