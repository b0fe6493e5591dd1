"""transforms.json: cameras and their pictures as NeRF, instant-ngp and nerfstudio write them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d.errors import UserError
from zero3d.geometry import check_cameras
from zero3d.values import Cameras

PINHOLE = ("PINHOLE", "SIMPLE_PINHOLE", "OPENCV")
"""nerfstudio's camera models that are a pinhole's when they distort nothing."""
DISTORTIONS = ("k1", "k2", "k3", "k4", "p1", "p2")
"""Coefficients that bend a picture."""
LONGEST = 255
"""Characters of a picture's path."""
SQUARE = 0.01
"""By how much fl_x and fl_y may differ where pictures are not resampled."""
STRONGEST = 0.01
"""A coefficient of distortion up to which a picture is taken as it is: some half a pixel of 256 at a corner."""


@dataclass(frozen=True)
class Lens:
    """Of a picture `width` x `height` pixels as the file has it: focal lengths and the principal point, in its pixels.

    `height`, `fy` and the centre are None where the file does not say them: square pixels, seen straight on.
    """

    width: float
    height: float | None
    fx: float
    fy: float | None
    cx: float | None
    cy: float | None


@dataclass(frozen=True)
class Frame:
    """A picture's file, its camera-to-world matrix (4, 4), unchecked, and its lens; None: `fov` across the width alone."""

    path: Path
    pose: numpy.ndarray
    fov: float | None
    lens: Lens | None


def transforms_file(given: Path) -> Path:
    """The transforms.json that is meant by one, or by the folder that it stands in."""
    return given / "transforms.json" if given.is_dir() else given


def read_transforms(file: Path, fov: float | None = None) -> list[Frame]:
    """The frames of a transforms.json.

    NeRF's: camera_angle_x (radians across the width) and frames with file_path and a camera-to-world transform_matrix,
    OpenGL axes. nerfstudio's and instant-ngp's: fl_x, fl_y, cx, cy, w, h (pixels), of all or each frame's own; where both
    are given these are taken. `fov`: radians across the width, where the file says nothing of it.

    Raises:
        UserError: it is neither; the line names what is missing or cannot be drawn (a distorted or fisheye picture).
    """
    try:
        layout = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}); a folder of posed pictures has a transforms.json, as NeRF and "
            "nerfstudio write it"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: no JSON ({str(error)[:80]}); a transforms.json is needed") from None
    frames = layout.get("frames") if isinstance(layout, dict) else None
    if not isinstance(frames, list) or not frames:
        raise UserError(f"{file}: not as NeRF or nerfstudio write it (no list of frames); nothing to compare")
    return [_frame(file, number, {"camera_angle_x": fov, **layout}, frame) for number, frame in enumerate(frames)]


def _frame(file: Path, number: int, layout: dict[str, Any], frame: Any) -> Frame:
    who = f"{file}: frame {number}"
    name = frame.get("file_path") if isinstance(frame, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST or "\0" in name:
        raise UserError(f"{who}: not as NeRF writes it (no file_path of up to {LONGEST} characters)")
    path = file.parent / name
    path = path if path.suffix else path.with_suffix(".png")
    who = f"{file}: {name[:80]}"
    try:
        pose = numpy.array(frame["transform_matrix"], dtype=numpy.float64)
    except (KeyError, ValueError, TypeError, OverflowError):
        raise UserError(f"{who}: no transform_matrix of numbers") from None
    if pose.shape not in ((4, 4), (3, 4)):
        raise UserError(f"{who}: transform_matrix of shape {pose.shape}; 4x4 is needed")
    if len(pose) == 3:
        pose = numpy.concatenate([pose, [[0, 0, 0, 1]]])
    own = {**layout, **frame}
    model = own.get("camera_model", "PINHOLE")
    if model not in PINHOLE:
        raise UserError(
            f"{who}: camera_model {str(model)[:40]}; pictures of a pinhole camera are needed (undistort them)"
        )
    for key in DISTORTIONS:
        if abs(_number(own, key, who) or 0) > STRONGEST:
            raise UserError(f"{who}: {key} = {own[key]:g} bends the picture; undistort the pictures first")
    fx, width = _number(own, "fl_x", who), _number(own, "w", who)
    fov = _number(own, "camera_angle_x", who)
    if fx is None or width is None:
        if fov is None:
            raise UserError(f"{who}: neither camera_angle_x nor fl_x with w; the field of view is unknown")
        if not 0 < fov < math.pi:
            raise UserError(f"{who}: camera_angle_x = {fov:g} radians; above 0, below pi")
        return Frame(path, pose, fov, None)
    height, fy, cx, cy = (_number(own, key, who) for key in ("h", "fl_y", "cx", "cy"))
    if min(fx, width, fx if fy is None else fy, 1 if height is None else height) <= 0:
        raise UserError(f"{who}: fl_x, fl_y, w and h must be above 0")
    return Frame(path, pose, None, Lens(width, height, fx, fy, cx, cy))


def _number(values: dict[str, Any], key: str, who: str) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{who}: {key} = {str(value)[:40]}; a finite number is needed")
    return number


def labelled(frames: list[Frame]) -> dict[str, Frame]:
    """By the names of their files, where those are different labels; else by number."""
    names = [re.sub(r"[^\w-]", "_", frame.path.stem)[:40] for frame in frames]
    apart = len({name.casefold() for name in names}) == len(names) and all(names)
    return dict(zip(names if apart else [f"view_{i:03d}" for i in range(len(frames))], frames, strict=True))


def posed_picture(frame: Frame, scale: float, centre: Sequence[float]) -> dict[str, Any]:
    """A frame as a recipe's picture: its path, camera-to-world matrix, field of view and principal point.

    `scale` and `centre`: of the object, from the file's world units to zero3d's.

    Raises:
        UserError: pixels that are not square, or a pose that is none.
    """
    pose = numpy.array(frame.pose)
    pose[:3, 3] = scale * (pose[:3, 3] - numpy.array(centre))
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
