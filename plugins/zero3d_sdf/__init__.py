"""A signed distance field on a grid, and the term that keeps it one."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_sdf.eikonal import Eikonal
    from zero3d_sdf.field import SDFField

    register(Eikonal)
    register(SDFField)
