"""For plug-in authors: what is installed, what a component's options are, what is amiss, and a new plug-in to start from."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "plugins",
            "zero3d_authoring.command:Plugins",
            "What is installed; `show` a component's options, `doctor` for what is amiss, `new` for a plug-in of your own.",
        )
    )
