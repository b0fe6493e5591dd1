"""The one hook: registration. Nothing else of a plug-in runs unless a recipe or the command line names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Lazy:
    """A component that is imported when somebody asks for it, so that the command line starts without its libraries.

    kind, name: those of the class. target: "module:Class". summary: of a command, its docstring's first line, for `--help`.
    """

    kind: str
    name: str
    target: str
    summary: str = ""


@hookspec
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Call `register(cls)`, or `register(Lazy(kind, name, "module:Class"))`, once for every component of this plug-in."""
