"""The page that every run leaves behind."""

from __future__ import annotations

from typing import ClassVar

from zero3d.interfaces import Observer, RunView
from zero3d.run import say

WARNING = "warning:"


class Report(Observer):
    """At the end of every run, report.html: one file with the model to turn, previews, curves, figures and the recipe.

    `observers.report=null` leaves it out. A run whose report fails is as good as any other: it says so and goes on.
    """

    name: ClassVar[str] = "report"
    writes: ClassVar[tuple[str, ...]] = ("report.html",)
    always: ClassVar[bool] = True

    def on_exported(self, run: RunView) -> str:
        return self._write(run)

    def on_end(self, run: RunView, finished: bool) -> None:
        line = "" if finished else self._write(run)
        if line.startswith(WARNING):
            say(line)

    def _write(self, run: RunView) -> str:
        try:
            from zero3d_report.report import write_report

            return write_report(run.folder)
        except Exception as error:  # it only tells of the run, whose model is there
            return (
                f"{WARNING} no report.html ({type(error).__name__}: {error}); make it with: zero3d report {run.folder}"
            )
