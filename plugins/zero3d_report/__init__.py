"""What a run shows afterwards: its report, and several runs beside each other."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "report",
            "zero3d_report.command:MakeReport",
            "Make a run's report.html anew, of an older or a stopped run too: one file that needs no network.",
        )
    )
    register(Lazy("observer", "report", "zero3d_report.observer:Report"))
