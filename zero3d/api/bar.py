"""A bar while a run goes on, in a notebook and in a terminal."""

from __future__ import annotations

import sys
import warnings
from typing import Any, ClassVar

from zero3d import __version__
from zero3d.interfaces import Observer, RunView
from zero3d.registry import Registered, Registry
from zero3d.values import Step


class Quiet(Observer):
    """Says nothing."""

    name: ClassVar[str] = "progress"
    always: ClassVar[bool] = True


class Bar(Observer):
    """tqdm's bar: steps, terms, steps a second, time left; as a widget where the notebook has ipywidgets."""

    name: ClassVar[str] = "progress"
    always: ClassVar[bool] = True
    _bar: Any = None

    def on_start(self, run: RunView) -> None:
        if not run.steps:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for ipywidgets, which need not be
            from tqdm.auto import tqdm

            self._bar = tqdm(total=run.steps, initial=run.first_step, desc=run.folder.name, unit="step", leave=True)

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        if self._bar is not None:
            terms = {n.split(".")[1]: v for n, v in metrics.items() if n.endswith((".value", ".distance"))}
            self._bar.set_postfix(terms, refresh=False)
            self._bar.update()

    def on_end(self, run: RunView, finished: bool) -> None:
        if self._bar is not None:
            self._bar.close()


def watched(registry: Registry, progress: bool) -> Registry:
    """The registry, with the bar (or nothing) as the observer `progress`, whatever else is called so. Every run has it that
    does not say `observers.progress=null`; its recipe and its result are the same."""
    changed = Registry()
    changed.broken = registry.broken
    for entry in registry.brought():
        if (entry.kind, entry.name) != (Bar.kind, Bar.name):
            changed.add(entry)
    changed.add(Registered(Bar if progress else Quiet, "api", "zero3d", __version__))
    return changed


def print_above_bar(line: str) -> None:
    """On stdout; a bar on the screen moves down."""
    from tqdm import tqdm

    tqdm.write(line, file=sys.stdout)


def discard(line: str) -> None:
    """In place of `print_above_bar` where nothing is to be printed."""
