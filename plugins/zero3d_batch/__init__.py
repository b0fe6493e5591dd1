"""Many runs: a recipe over a folder of pictures, a grid of options; who runs them."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    register(
        Lazy(
            "command",
            "batch",
            "zero3d_batch.batch:Batch",
            "Run a recipe over many pictures: a run's folder for each, tables, a page; again, it goes on where it ended.",
        )
    )
    register(Lazy("executor", "processes", "zero3d_batch.executors.processes:Processes"))
    register(Lazy("executor", "ray", "zero3d_batch.executors.ray_cluster:RayExecutor"))
    register(
        Lazy(
            "command",
            "sweep",
            "zero3d_batch.sweep:Sweep",
            "Run a recipe for every combination of values, and show them side by side: pictures, curves, figures.",
        )
    )
