"""Neural fields on multiresolution hash grids (Instant NGP), with tiny-cuda-nn where it is, in plain PyTorch elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("representation", "hash_grid", "zero3d_ngp.field:HashGridField"))
