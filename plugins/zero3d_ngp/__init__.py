"""Neural fields on multiresolution hash grids (Instant NGP), with tiny-cuda-nn where it is, in plain PyTorch elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_ngp.field import HashGridField

    register(HashGridField)
