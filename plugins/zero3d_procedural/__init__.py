"""Procedural objects, seeded and endless, with exact geometry beside their pictures."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_procedural.dataset import ProceduralObjects
    from zero3d_procedural.evaluation import HeldOutObjects

    register(ProceduralObjects)
    register(HeldOutObjects)
