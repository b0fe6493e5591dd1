"""3D Gaussians: the representation, its renderer, its files."""

from __future__ import annotations

from collections.abc import Callable

from zero3d import Lazy, hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component] | Lazy], None]) -> None:
    """Registers this package's components."""
    register(Lazy("representation", "gaussians", "zero3d_gaussians.cloud.gaussians:GaussianCloud"))
    register(Lazy("renderer", "splat", "zero3d_gaussians.renderer:SplatRenderer"))
    register(Lazy("exporter", "splat_file", "zero3d_gaussians.exporter:SplatFile"))
