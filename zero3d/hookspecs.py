"""The one hook: registration. Nothing else of a plug-in runs unless a recipe or the command line names it."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from zero3d.interfaces import Component

PROJECT = "zero3d"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Call `register(cls)` once for every component class that this plug-in provides."""
