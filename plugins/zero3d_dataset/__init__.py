"""`zero3d dataset`: training pictures of meshes in the published Zero-1-to-3 layout, made and checked."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_dataset.command import Dataset

    register(Dataset)
