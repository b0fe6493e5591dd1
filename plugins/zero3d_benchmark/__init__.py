"""`zero3d benchmark`: methods on objects with known truth, by published protocols."""

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    from zero3d_benchmark.baselines import Ellipsoid, Extrusion
    from zero3d_benchmark.command import BenchmarkCommand

    register(BenchmarkCommand)
    register(Extrusion)
    register(Ellipsoid)
