"""A signed distance field on a grid, and the term that keeps it one."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("regularizer", "eikonal", "zero3d_sdf.eikonal:Eikonal"))
    register(Lazy("representation", "sdf", "zero3d_sdf.field:SDFField"))
