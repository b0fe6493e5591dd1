"""What a run shows afterwards: its report, and several runs beside each other."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_report.command import MakeReport
    from zero3d_report.observer import Report

    for component in (MakeReport, Report):
        register(component)
