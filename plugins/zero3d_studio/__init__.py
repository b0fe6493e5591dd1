"""`zero3d studio`: a page to make models in."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(
        Lazy(
            "command",
            "studio",
            "zero3d_studio.command:Studio",
            "Serve a page to make models in: drop a picture, correct its mask, choose a recipe, watch it, download it.",
        )
    )
