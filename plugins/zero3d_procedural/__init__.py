"""Procedural objects, seeded and endless, with exact geometry beside their pictures."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(Lazy("dataset", "procedural", "zero3d_procedural.dataset:ProceduralObjects"))
    register(Lazy("evaluation_set", "procedural", "zero3d_procedural.evaluation:HeldOutObjects"))
