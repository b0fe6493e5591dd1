"""zero3d: one picture in, a 3D model out, by distilling a 2D diffusion model; every piece of the way is a plug-in."""

import os
import sys
from typing import TYPE_CHECKING

try:
    os.getcwd()
except OSError:  # torch would end the program with a line that says nothing of it
    sys.stderr.write("zero3d: the working folder has been deleted; change to another one\n")
    sys.exit(2)

if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    # torch's threads otherwise spin for milliseconds after each operation, on the cores that other threads then lack
    os.environ["GOMP_SPINCOUNT"] = "20000"

from zero3d.errors import ExportError, PictureError, PluginError, RecipeError, RunError, UserError
from zero3d.hookspecs import API_VERSION, Lazy, hookimpl
from zero3d.lazy import lazily
from zero3d.schedule import Schedule

if TYPE_CHECKING:
    from zero3d.values import Cameras, ImageGradient, LossContext, Picture, Step, Subject, View, ViewGradient

__getattr__ = lazily(__name__, {"values": "Cameras ImageGradient LossContext Picture Step Subject View ViewGradient"})

__version__ = "0.1.0"

PUBLIC_MODULES = (
    "zero3d",
    "zero3d.api",
    "zero3d.diffusion",
    "zero3d.errors",
    "zero3d.evaluation",
    "zero3d.exr",
    "zero3d.files",
    "zero3d.films",
    "zero3d.gate",
    "zero3d.geometry",
    "zero3d.html_pages",
    "zero3d.interfaces",
    "zero3d.map_files",
    "zero3d.mesh_files",
    "zero3d.mesh_placing",
    "zero3d.mesh_views",
    "zero3d.plugins",
    "zero3d.pose_files",
    "zero3d.random",
    "zero3d.recipe",
    "zero3d.registered",
    "zero3d.registry",
    "zero3d.run",
    "zero3d.schedule",
    "zero3d.solids",
    "zero3d.testing",
    "zero3d.transforms",
    "zero3d.values",
    "zero3d.weights",
)
"""What a plug-in may rely on under one API_VERSION: the names of these modules without a leading underscore."""

__all__ = [
    "API_VERSION",
    "Cameras",
    "ExportError",
    "ImageGradient",
    "Lazy",
    "LossContext",
    "Picture",
    "PUBLIC_MODULES",
    "PictureError",
    "PluginError",
    "RecipeError",
    "RunError",
    "Schedule",
    "Step",
    "Subject",
    "UserError",
    "View",
    "ViewGradient",
    "hookimpl",
    "__version__",
]
