"""For plug-in authors: what is installed, what a component's options are, what is amiss, and a new plug-in to start from."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_authoring.command import Plugins

    register(Plugins)
