"""zero3d: one picture in, a 3D model out, by distilling a 2D diffusion model; every piece of the way is a plug-in."""

from zero3d.errors import ExportError, PictureError, RecipeError, RunError, UserError
from zero3d.hookspecs import hookimpl
from zero3d.schedule import Schedule
from zero3d.values import Cameras, ImageGradient, LossContext, Picture, Step, View

__version__ = "0.1.0"

__all__ = [
    "Cameras",
    "ExportError",
    "ImageGradient",
    "LossContext",
    "Picture",
    "PictureError",
    "RecipeError",
    "RunError",
    "Schedule",
    "Step",
    "UserError",
    "View",
    "hookimpl",
    "__version__",
]
