"""Observers: a progress line, previews, a turntable."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("observer", "preview", "zero3d_observers.preview:Preview"))
    register(Lazy("observer", "progress", "zero3d_observers.progress:Progress"))
    register(Lazy("observer", "turntable", "zero3d_observers.turntable:Turntable"))
