"""What a training run tells: metrics.jsonl, a progress bar, TensorBoard."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from zero3d.errors import RecipeError
from zero3d.folder import MetricsLog

SHOWN = ("loss", "psnr")


def check_tensorboard() -> None:
    """Raises RecipeError where the package is missing."""
    if find_spec("tensorboard") is None:
        raise RecipeError(
            "tensorboard: true, but the package tensorboard is not installed; pip install 'zero3d[tensorboard]', or "
            "set tensorboard=false"
        )


class Report(Protocol):
    """Hears of every logged step of the main process."""

    def stage(self, name: str, steps: int, done: int) -> None: ...

    def step(self) -> None: ...

    def figures(self, stage: str, step: int, number: int, figures: dict[str, float]) -> None:
        """`step` of the stage, `number` in the whole run."""

    def picture(self, number: int, path: Path) -> None: ...

    def close(self) -> None: ...


class Log:
    """metrics.jsonl and, if asked for, TensorBoard's events beside it."""

    def __init__(self, out: Path, first: int, tensorboard: bool) -> None:
        self._log = MetricsLog(out, first)
        self._board: Any = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=first or None, flush_secs=10)

    def stage(self, name: str, steps: int, done: int) -> None:
        pass

    def step(self) -> None:
        pass

    def figures(self, stage: str, step: int, number: int, figures: dict[str, float]) -> None:
        self._log.write(number, {"stage": stage, **figures})
        if self._board:
            for name, value in figures.items():
                self._board.add_scalar(f"{stage}/{name}", value, number)

    def picture(self, number: int, path: Path) -> None:
        if self._board:
            import numpy
            from PIL import Image

            self._board.add_image("validation", numpy.asarray(Image.open(path)), number, dataformats="HWC")

    def close(self) -> None:
        self._log.close()
        if self._board:
            self._board.close()


class Bar:
    """A progress bar a stage, with the last figures."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._shown: dict[str, str] = {}

    def stage(self, name: str, steps: int, done: int) -> None:
        self.close()
        self._bar = tqdm(total=steps, initial=done, desc=name, unit="step", file=sys.stderr, mininterval=0.5)

    def step(self) -> None:
        self._bar.update()

    def figures(self, stage: str, step: int, number: int, figures: dict[str, float]) -> None:
        self._shown |= {name: f"{value:.4g}" for name, value in figures.items() if name in SHOWN}
        self._bar.set_postfix(self._shown, refresh=False)

    def picture(self, number: int, path: Path) -> None:
        pass

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
