"""Zero123++ and SV3D: target pictures from fixed views."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Registers this package's components."""
    from zero3d_novel_views.sv3d.denoiser import Sv3d
    from zero3d_novel_views.zero123plus.denoiser import Zero123Plus

    register(Zero123Plus)
    register(Sv3d)
