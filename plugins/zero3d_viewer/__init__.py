"""The live viewer: `zero3d view`, and an observer."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "view",
            "zero3d_viewer.command:View",
            "Show runs, finished or not, and GLB, OBJ, PLY, STL or splat files side by side in a browser.",
        )
    )
    register(Lazy("observer", "viewer", "zero3d_viewer.observer:Viewer"))
