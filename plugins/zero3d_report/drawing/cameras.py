"""The cameras to draw from: around the object, or those of a transforms.json."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image

from zero3d.errors import UserError
from zero3d.geometry import check_cameras, orbit
from zero3d.transforms import Frame, labelled, read_transforms
from zero3d.values import Cameras

Named = list[tuple[str, Cameras]]
"""Name of the picture -> its camera, one each."""
OFF = 0.01
"""How far, as a share of a side, the principal point may be from the middle, and fl_x from fl_y."""
DEFAULT_SIZE = 512


def around(count: int, size: int, elevation_deg: float, distance: float, fov_deg: float) -> Named:
    """Evenly around the object, counter-clockwise seen from above, from the picture's azimuth."""
    places = [360 * k / count for k in range(count)]
    fov = math.radians(fov_deg)
    return [(f"{k:03d}", orbit(elevation_deg, place, size, distance, fov)) for k, place in enumerate(places)]


def from_file(file: Path, size: int | None) -> Named:
    """Those of a transforms.json, NeRF's or nerfstudio's; `size`: pixels of the longer side, else as the file has it.

    Raises:
        UserError: no such file, or a camera that cannot be drawn.
    """
    return [(label, _camera(frame, size)) for label, frame in labelled(read_transforms(file)).items()]


def _camera(frame: Frame, size: int | None) -> Cameras:
    lens, who = frame.lens, str(frame.path)
    if lens is None:
        assert frame.fov is not None  # read_transforms gives one of the two
        width, height = _size_of(frame.path) or (size or DEFAULT_SIZE,) * 2
        fov = frame.fov
    else:
        width = round(lens.width)
        height = round(lens.width if lens.height is None else lens.height)
        fov = 2 * math.atan(lens.width / 2 / lens.fx)
        if lens.fy is not None and abs(lens.fx / lens.fy - 1) > OFF:
            raise UserError(f"{who}: fl_x {lens.fx:g} and fl_y {lens.fy:g}; cameras of square pixels are drawn")
        for key, centre, side in (("cx", lens.cx, width), ("cy", lens.cy, height)):
            if centre is not None and abs(centre / side - 0.5) > OFF:
                raise UserError(
                    f"{who}: {key} = {centre:g} of {side} pixels; cameras that look at the middle are drawn"
                )
    scale = (size or max(width, height)) / max(width, height)
    pose = torch.from_numpy(frame.pose).float()[None]
    sides = max(1, round(height * scale)), max(1, round(width * scale))
    return check_cameras(Cameras(pose, *sides, fov), who)


def _size_of(path: Path) -> tuple[int, int] | None:
    """Width and height of a picture that is there."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
