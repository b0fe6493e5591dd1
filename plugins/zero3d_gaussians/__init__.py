"""3D Gaussians: the representation, its renderer, its files."""

from collections.abc import Callable

from zero3d import hookimpl
from zero3d.interfaces import Component


@hookimpl
def register_components(register: Callable[[type[Component]], None]) -> None:
    """Registers this package's components."""
    from zero3d_gaussians.cloud.gaussians import GaussianCloud
    from zero3d_gaussians.drawing.renderer import SplatRenderer
    from zero3d_gaussians.files.exporter import SplatFile

    register(GaussianCloud)
    register(SplatRenderer)
    register(SplatFile)
