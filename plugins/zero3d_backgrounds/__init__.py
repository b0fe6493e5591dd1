"""Backgrounds: what lies behind the object while it is optimised."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("background", "checkerboard", "zero3d_backgrounds.checkerboard:Checkerboard"))
    register(Lazy("background", "constant", "zero3d_backgrounds.constant:Constant"))
    register(Lazy("background", "learned", "zero3d_backgrounds.learned:Learned"))
    register(Lazy("background", "random", "zero3d_backgrounds.random:Random"))
