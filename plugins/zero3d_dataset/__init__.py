"""`zero3d dataset`: training pictures of meshes in the published Zero-1-to-3 layout, made and checked."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "dataset",
            "zero3d_dataset.command:Dataset",
            "Draw training pictures of meshes in the published layout, or check a folder of them.",
        )
    )
