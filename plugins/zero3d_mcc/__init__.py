"""MCC: a reconstructor from one picture with depth."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(Lazy("reconstructor", "mcc", "zero3d_mcc.reconstructor:MccReconstructor"))
