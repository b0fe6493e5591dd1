"""What a run shows afterwards: its report, and several runs beside each other."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    commands = {
        "report": (
            "zero3d_report.command:MakeReport",
            "Make a run's report.html anew, of an older or a stopped run too: one file that needs no network.",
        ),
        "compare": (
            "zero3d_report.command:Compare",
            "Put several runs on one page: models that turn together, curves over each other, what their recipes differ in.",
        ),
        "draw": (
            "zero3d_report.drawing.command:Draw",
            "Draw a run's field, or an exported file, from around it or from given cameras: colour, depth, normals, a film.",
        ),
    }
    for name, (place, summary) in commands.items():
        register(Lazy("command", name, place, summary))
    register(Lazy("observer", "report", "zero3d_report.observer:Report"))
