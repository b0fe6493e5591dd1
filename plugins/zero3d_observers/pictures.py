"""From drawn views to 8-bit pictures."""

from __future__ import annotations

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import RunView
from zero3d.values import FAR, View

REACH = 0.75
"""Half the range of depth that pictures show, world units; the object's longest side is 1."""


def enlarged(picture: numpy.ndarray, size: int) -> numpy.ndarray:
    """(H, W, 3) uint8, bicubic to size x size."""
    return numpy.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))


def draw_around(run: RunView, azimuth_deg: float, elevation_deg: float) -> tuple[Tensor, View]:
    """RGB (H, W, 3) and the view itself (B = 1) from around the object, as far and as wide as the input camera."""
    with torch.no_grad():
        distance, fov = run.input_camera.distance.cpu(), run.input_camera.fovs.cpu()
        view = run.draw(orbit(elevation_deg, azimuth_deg, run.resolution, distance, fov))
        return run.decode(view.image)[0], view


def nearness(view: View, distance: float) -> Tensor | None:
    """(H, W, 1) of a view's first picture, or None if it has no depth.

    1 where the surface is REACH before the object's centre, 0 where it is as far behind it or there is none.
    """
    if view.depth is None:
        return None
    opacity = view.opacity[0]
    surface = (view.depth[0] - (1 - opacity) * FAR) / opacity.clamp(min=1e-3)
    return opacity * ((distance + REACH - surface) / (2 * REACH)).clamp(0, 1)
