"""How far the run is."""

from __future__ import annotations

import shutil
import sys
import time
from typing import Any, ClassVar

from zero3d.interfaces import Observer, RunView
from zero3d.values import Step


class Progress(Observer):
    """A line on stderr: step, terms, steps a second, time left; every tenth of the run where stderr is no terminal."""

    name: ClassVar[str] = "progress"

    def on_start(self, run: RunView) -> None:
        self._started = time.monotonic()
        self._shown = 0.0

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        done, now = step.index + 1, time.monotonic()
        terminal = sys.stderr.isatty()
        last = done == run.steps
        if terminal:
            due = now - self._shown > 0.2 or last
        else:
            tenth = -(-run.steps // 10)
            due = done % tenth == 0 or last
        if not due:
            return
        self._shown = now
        line = self._line(run, done, now - self._started, metrics)
        end = "\n" if last or not terminal else ""
        if terminal:  # a line that wraps could not be drawn over
            line = f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}"
        print(line, end=end, file=sys.stderr, flush=True)

    def on_end(self, run: RunView, finished: bool) -> None:
        if not finished and sys.stderr.isatty():
            print(file=sys.stderr)

    @staticmethod
    def _line(run: RunView, done: int, seconds: float, metrics: dict[str, Any]) -> str:
        rate = (done - run.first_step) / max(seconds, 1e-9)
        left = (run.steps - done) / max(rate, 1e-9)
        shown = [(name, value) for name, value in metrics.items() if name.endswith((".value", ".distance"))]
        terms = "  ".join(f"{name.split('.')[1]} {value:.4f}" for name, value in shown)
        return f"step {done}/{run.steps}  {terms}  {rate:.1f} steps/s  {int(left) // 60}:{int(left) % 60:02d} left"
