"""The live viewer: `zero3d view`, and an observer."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_viewer.command import View
    from zero3d_viewer.observer import Viewer

    for component in (View, Viewer):
        register(component)
