"""Zero-1-to-3: a denoiser that draws the pictured object from elsewhere; published weights, or the embedded nano."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("denoiser", "zero123", "zero3d_zero123.component:Zero123"))
    register(Lazy("reconstructor", "nano_lift", "zero3d_zero123.nano.reconstructor:NanoLift"))
    register(Lazy("denoiser", "zero123_finetune", "zero3d_zero123.training.denoiser:FineTuned"))
