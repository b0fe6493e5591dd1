"""`images` as a folder of posed pictures: a transforms.json becomes a map of pictures, each with its camera."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d.errors import RecipeError, UserError
from zero3d.geometry import check_cameras
from zero3d.recipe.schema import typed
from zero3d.transforms import Frame, read_transforms
from zero3d.values import Cameras

MOST = 1000
SQUARE = 0.01
"""By how much fl_x and fl_y may differ."""


@dataclass
class PosedFiles:
    """`images: {transforms: FILE}`, or a folder with transforms.json.

    every: takes every so many-th picture. scale: of the file's world units to zero3d's, in which the object's longest side
    is about 1. centre: of the object, x y z in the file's units.
    """

    transforms: str
    every: int = 1
    scale: float = 1.0
    centre: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def __post_init__(self) -> None:
        if not 1 <= self.every <= MOST:
            raise ValueError(f"every: {self.every}; 1 to {MOST}")
        if not 1e-6 <= self.scale <= 1e6:
            raise ValueError(f"scale: {self.scale}; above 0, at most 1e6")
        if len(self.centre) != 3:
            raise ValueError(f"centre: {self.centre}; three numbers, x y z")


def expanded(images: Any, place: str) -> Any:
    """A path, or a map with the key `transforms`, as the map of pictures that it stands for; other values as they are.

    Raises:
        RecipeError: no such file, no transforms.json, a lens that is no pinhole's, a pose that is none.
    """
    if isinstance(images, str):
        images = {"transforms": images}
    if not isinstance(images, Mapping) or not isinstance(images.get("transforms"), str):
        return images
    options: PosedFiles = typed(PosedFiles, images, place)
    given = Path(options.transforms)
    file = given / "transforms.json" if given.is_dir() else given
    try:
        frames = read_transforms(file)[:: options.every]
        if len(frames) > MOST:
            raise UserError(f"{file}: {len(frames)} pictures; at most {MOST}: take every n-th with images.every")
        return {label: _posed(frame, options) for label, frame in _labelled(frames).items()}
    except UserError as error:
        raise RecipeError(f"{place}: {error}") from None


def _labelled(frames: list[Frame]) -> dict[str, Frame]:
    """By the names of their files, where those are different labels; else by number."""
    names = [re.sub(r"[^\w-]", "_", frame.path.stem)[:40] for frame in frames]
    apart = len({name.casefold() for name in names}) == len(names) and all(names)
    return dict(zip(names if apart else [f"view_{i:03d}" for i in range(len(frames))], frames, strict=True))


def _posed(frame: Frame, options: PosedFiles) -> dict[str, Any]:
    """The picture's block: its path, and the options of `Placed`."""
    pose = numpy.array(frame.pose)
    pose[:3, 3] = options.scale * (pose[:3, 3] - numpy.array(options.centre))
    lens, fov, middle = frame.lens, frame.fov, None
    if lens is not None:
        if lens.fy is not None and abs(lens.fx / lens.fy - 1) > SQUARE:
            raise UserError(
                f"{frame.path}: fl_x {lens.fx:g} and fl_y {lens.fy:g}; resample the pictures to square pixels"
            )
        fov = 2 * math.atan(lens.width / 2 / lens.fx)
        across = 0.5 if lens.cx is None else lens.cx / lens.width
        down = 0.5 if lens.cy is None or lens.height is None else lens.cy / lens.height
        middle = [across, down]
    assert fov is not None  # of a lens, or the frame's own
    check_cameras(Cameras(torch.from_numpy(pose)[None], 1, 1, fov), str(frame.path))
    block = {"path": str(frame.path), "camera_to_world": pose.reshape(-1).tolist(), "fov_deg": math.degrees(fov)}
    return block | ({"principal_point": middle} if middle else {})
