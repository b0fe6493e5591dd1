"""Occupancy-grid marching and volume rendering with the nerfacc library: empty space is passed over."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("renderer", "nerfacc", "zero3d_nerfacc.renderer:NerfaccRenderer"))
