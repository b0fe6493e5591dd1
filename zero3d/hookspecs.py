"""The one hook: registration. Nothing else of a plug-in runs unless a recipe or the command line names it."""

from __future__ import annotations

from collections.abc import Callable

import pluggy

from zero3d.interfaces import Component

API_VERSION = 2
"""Of what plug-ins may rely on (zero3d.PUBLIC_MODULES). It grows when a plug-in written for the last one may break.

A plug-in's module may state the one it was written for, `ZERO3D_API = 2`; with another one it is not loaded."""

PROJECT = "zero3d"
"""What pluggy calls it."""
hookspec = pluggy.HookspecMarker(PROJECT)
"""Marks the hooks of this file."""
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks a plug-in's implementation: put it before `def register_components(register)`."""


@hookspec
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Call `register(cls)` once for every component class that this plug-in provides."""
