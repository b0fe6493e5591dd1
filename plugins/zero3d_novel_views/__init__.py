"""Zero123++ and SV3D: target pictures from fixed views."""

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Registers this package's components."""
