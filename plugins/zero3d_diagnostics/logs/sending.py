"""What every log of another program does: figures every so many steps, and the pictures that other observers write."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from zero3d import RecipeError
from zero3d.interfaces import Observer, RunView
from zero3d.values import Step


class Sending(Observer):
    """Passes on the figures of metrics.jsonl every `every` steps and at the last, and every FOLDER/step_N.png once."""

    def __init__(self, config: Any, every: int, pictures: bool) -> None:
        """Raises RecipeError where the package of `extras` is missing."""
        super().__init__(config)
        self._every, self._pictures = every, pictures
        for extra, package in self.extras.items():
            if find_spec(package) is None:
                raise RecipeError(
                    f"observers.{self.name}: needs the package {package}, which is not installed; "
                    f"pip install 'zero3d[{extra}]', or remove it with observers.{self.name}=null"
                )

    @abstractmethod
    def figures(self, step: int, figures: dict[str, float]) -> None:
        """The numbers of one step, by their names in metrics.jsonl."""

    @abstractmethod
    def picture(self, folder: str, path: Path, done: int) -> None:
        """A picture of `folder` ("previews") after `done` steps."""

    def on_start(self, run: RunView) -> None:
        self._done = run.first_step
        self._sent: set[Path] = set(_pictures(run, "step_*.png"))

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        self._done = done = step.index + 1
        if done % self._every == 0 or done == run.steps:
            self.figures(step.index, {name: v for name, v in metrics.items() if isinstance(v, (int, float))})
        # observers that come later in the recipe write theirs after this one's turn
        self.send(run, step.index)
        self.send(run, done)

    def on_end(self, run: RunView, finished: bool) -> None:
        self.send(run, self._done)

    def send(self, run: RunView, done: int) -> None:
        """Pass on the pictures after that many steps that have not been."""
        for path in self._unsent(run, done):
            self._sent.add(path)
            self.picture(path.parent.name, path, done)

    def _unsent(self, run: RunView, done: int) -> Iterator[Path]:
        found = _pictures(run, f"step_{done:06d}.png") if self._pictures else []
        return (path for path in found if path not in self._sent)


def _pictures(run: RunView, pattern: str) -> list[Path]:
    return sorted(run.folder.glob(f"*/{pattern}"))


def tag(name: str) -> str:
    """Both programs group by what stands before the slash: "guidance.sds.weight" -> "guidance.sds/weight"."""
    parts = name.split(".")
    return f"{'.'.join(parts[:2])}/{'.'.join(parts[2:])}" if len(parts) > 2 else name
