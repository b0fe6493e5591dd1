"""How good a reconstruction is: pictures, surfaces, volumes; `zero3d eval`."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_metrics.evaluate import Evaluate

    register(Evaluate)
