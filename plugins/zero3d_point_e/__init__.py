"""Point-E: a reconstructor by point cloud diffusion."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(Lazy("reconstructor", "point_e", "zero3d_point_e.reconstructor:PointE"))
