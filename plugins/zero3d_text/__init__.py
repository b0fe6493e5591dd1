"""Pictures from words: a text-to-image model draws what is then reconstructed."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_text.source import PictureFromText

    register(PictureFromText)
