"""Backgrounds: what lies behind the object while it is optimised."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_backgrounds.checkerboard import Checkerboard
    from zero3d_backgrounds.constant import Constant
    from zero3d_backgrounds.learned import Learned
    from zero3d_backgrounds.random import Random

    for component in (Checkerboard, Constant, Learned, Random):
        register(component)
