"""`zero3d views`: novel views of one picture, drawn by a denoiser."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_views.command import Views

    register(Views)
