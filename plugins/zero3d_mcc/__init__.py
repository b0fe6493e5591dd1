"""MCC: a reconstructor from one picture with depth."""

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Registers this package's components."""
    from zero3d_mcc.reconstructor import MccReconstructor

    register(MccReconstructor)
