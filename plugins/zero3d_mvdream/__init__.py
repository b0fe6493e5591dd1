"""MVDream and ImageDream: four views denoised jointly."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(Lazy("denoiser", "mvdream", "zero3d_mvdream.denoiser:MvDream"))
    register(Lazy("denoiser", "imagedream", "zero3d_mvdream.denoiser:ImageDream"))
