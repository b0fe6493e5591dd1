"""Zero-1-to-3: a denoiser that draws the pictured object from elsewhere; published weights, or the embedded nano."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_zero123.component import Zero123
    from zero3d_zero123.nano.reconstructor import NanoLift
    from zero3d_zero123.training.denoiser import FineTuned

    for component in (Zero123, NanoLift, FineTuned):
        register(component)
