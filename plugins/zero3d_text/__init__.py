"""Pictures from words: a text-to-image model draws what is then reconstructed."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("image_source", "text", "zero3d_text.source:PictureFromText"))
