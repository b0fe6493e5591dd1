"""`zero3d benchmark`: methods on objects with known truth, by published protocols."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "benchmark",
            "zero3d_benchmark.command:BenchmarkCommand",
            "Score methods on objects with known truth, by a published protocol.",
        )
    )
    register(Lazy("reconstructor", "extrusion", "zero3d_benchmark.baselines:Extrusion"))
    register(Lazy("reconstructor", "ellipsoid", "zero3d_benchmark.baselines:Ellipsoid"))
