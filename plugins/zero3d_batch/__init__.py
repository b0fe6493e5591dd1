"""Many runs: a recipe over a folder of pictures, a grid of options; who runs them."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_batch.batch import Batch
    from zero3d_batch.executors.processes import Processes
    from zero3d_batch.executors.ray_cluster import RayExecutor
    from zero3d_batch.sweep import Sweep

    for component in (Batch, Processes, RayExecutor, Sweep):
        register(component)
