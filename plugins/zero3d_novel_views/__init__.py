"""Zero123++ and SV3D: target pictures from fixed views."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(Lazy("denoiser", "zero123plus", "zero3d_novel_views.zero123plus.denoiser:Zero123Plus"))
    register(Lazy("denoiser", "sv3d", "zero3d_novel_views.sv3d.denoiser:Sv3d"))
