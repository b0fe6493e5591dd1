"""CLIP: pictures and words as unit vectors, and the terms that compare them."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Registers this package's components."""
    from zero3d_clip.consistency import ClipConsistency
    from zero3d_clip.encoder import ClipEncoder
    from zero3d_clip.guidance import ClipGuidance

    for component in (ClipConsistency, ClipEncoder, ClipGuidance):
        register(component)
