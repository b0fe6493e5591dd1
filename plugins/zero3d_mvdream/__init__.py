"""MVDream and ImageDream: four views denoised jointly."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Registers this package's components."""
    from zero3d_mvdream.denoiser import ImageDream, MvDream

    register(MvDream)
    register(ImageDream)
