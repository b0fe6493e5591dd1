"""Observers: a progress line, previews, a turntable."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_observers.preview import Preview
    from zero3d_observers.progress import Progress
    from zero3d_observers.turntable import Turntable

    for component in (Preview, Progress, Turntable):
        register(component)
