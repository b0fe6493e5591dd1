"""`zero3d views`: novel views of one picture, drawn by a denoiser."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("command", "views", "zero3d_views.command:Views", "Draw novel views of one picture."))
