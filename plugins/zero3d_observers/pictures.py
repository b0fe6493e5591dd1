"""From drawn views to 8-bit pictures."""

from __future__ import annotations

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.interfaces import RunView
from zero3d.values import View


def to_uint8(image: Tensor) -> numpy.ndarray:
    """(..., C) in [0, 1] -> uint8."""
    return torch.round(255 * image.detach().cpu().clamp(0, 1)).to(torch.uint8).numpy()


def enlarged(picture: numpy.ndarray, size: int) -> numpy.ndarray:
    """(H, W, 3) uint8, bicubic to size x size."""
    return numpy.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))


def draw_orbit(run: RunView, azimuths_deg: Tensor, elevation_deg: float) -> tuple[Tensor, View]:
    """RGB (B, H, W, 3) and the view itself, from around the object, one camera at a time to bound memory."""
    views = [run.draw(orbit(elevation_deg, azimuth, run.resolution)) for azimuth in azimuths_deg]
    colour = torch.cat([run.decode(view.image) for view in views])
    opacity = torch.cat([view.opacity for view in views])
    depth = torch.cat([view.depth for view in views]) if all(v.depth is not None for v in views) else None  # type: ignore[misc]
    return colour, View(image=colour, opacity=opacity, depth=depth)
