"""CLIP: pictures and words as unit vectors, and the terms that compare them."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(Lazy("regularizer", "clip_consistency", "zero3d_clip.consistency:ClipConsistency"))
    register(Lazy("encoder", "clip", "zero3d_clip.encoder:ClipEncoder"))
    register(Lazy("guidance", "clip", "zero3d_clip.guidance:ClipGuidance"))
