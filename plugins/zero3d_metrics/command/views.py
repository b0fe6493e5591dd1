"""Views to compare with: pictures with cameras, in NeRF's, nerfstudio's or the published Zero-1-to-3 layout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d import UserError
from zero3d.geometry import check_cameras
from zero3d.pose_files import LARGEST, read_pose
from zero3d.transforms import Lens, read_transforms
from zero3d.values import PUBLISHED_FOV, Cameras

SMALLEST = 32
"""Pixels a side that SSIM's window and LPIPS' network need."""
LEAST_KEPT = 0.75
"""Share of a side that must be left when a picture is cropped about an off-centre principal point."""


@dataclass(frozen=True)
class MaskedView:
    """A picture (1, H, W, 3) on white, its mask (1, H, W) bool, alpha above 1/2, or None without a transparent pixel."""

    path: Path
    rgb: Tensor
    mask: Tensor | None
    camera: Cameras


def read_views(place: Path) -> Iterator[tuple[Tensor, Cameras]]:
    """Each view of `read_masked_views` as RGB (1, H, W, 3) on white with its camera."""
    for view in read_masked_views(place):
        yield view.rgb, view.camera


def read_masked_views(place: Path) -> Iterator[MaskedView]:
    """Each view, on white, with its camera.

    `place` is a folder or a JSON file. Layouts: `transforms.json` (see `read_transforms`), or NNN.png beside NNN.npy (3x4
    world-to-camera, OpenGL axes).

    Raises:
        UserError: neither layout, a missing picture, or a camera that cannot be drawn.
    """
    if place.suffix == ".json" and place.is_file():
        yield from _transforms(place)
        return
    if not place.is_dir():
        raise UserError(f"--views {place}: no such folder; give one with transforms.json or NNN.png and NNN.npy")
    if (place / "transforms.json").is_file():
        yield from _transforms(place / "transforms.json")
        return
    pairs = sorted(path for path in place.glob("*.npy") if path.with_suffix(".png").is_file())
    if not pairs:
        splits = sorted(path.name for path in place.glob("transforms_*.json"))
        hint = f"; name one of its splits, --views {place / splits[-1]}" if splits else ""
        raise UserError(f"--views {place}: holds no transforms.json and no NNN.png with NNN.npy{hint}")
    for path in pairs:
        try:
            with path.open("rb") as file:
                pose = read_pose(file.read(LARGEST), str(path))
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        yield _view(path.with_suffix(".png"), pose, PUBLISHED_FOV, None)


def _transforms(file: Path) -> Iterator[MaskedView]:
    for frame in read_transforms(file):
        yield _view(frame.path, torch.from_numpy(frame.pose), frame.fov, frame.lens)


def _view(path: Path, camera_to_world: Tensor, fov: float | None, lens: Lens | None) -> MaskedView:
    try:
        image = Image.open(path).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: cannot be read as a picture ({str(error)[:120]})") from None
    if lens is not None:
        image, fov = _straightened(image, lens, path)
    assert fov is not None
    if min(image.size) < SMALLEST:
        raise UserError(f"{path}: {image.width}x{image.height} pixels; at least {SMALLEST} a side can be compared")
    camera = Cameras(camera_to_world.double()[None], image.height, image.width, fov)
    check_cameras(camera, str(path))
    rgba = numpy.asarray(image, dtype=numpy.float32) / 255
    rgb = torch.from_numpy(rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:])[None]
    alpha = torch.from_numpy(rgba[..., 3])[None]
    mask = None if bool((alpha == 1).all()) else alpha > 0.5
    return MaskedView(path, rgb, mask, Cameras(camera.camera_to_world.float(), image.height, image.width, fov))


def _straightened(image: Image.Image, lens: Lens, path: Path) -> tuple[Image.Image, float]:
    """The picture with square pixels and the principal point in its middle (to half a pixel), and its field of view."""
    scale = image.width / lens.width  # nerfstudio keeps pictures made smaller beside the first ones
    if lens.height is not None and abs(lens.height * scale - image.height) > max(2.0, 0.01 * image.height):
        raise UserError(
            f"{path}: {image.width}x{image.height} pixels, its camera says {lens.width:g}x{lens.height:g}; another shape"
        )
    fx = lens.fx * scale
    stretch = 1.0 if lens.fy is None else lens.fx / lens.fy
    cx = image.width / 2 if lens.cx is None else lens.cx * scale
    cy = image.height / 2 if lens.cy is None else lens.cy * scale
    if not 0.5 <= stretch <= 2:
        raise UserError(f"{path}: fl_x = {lens.fx:g} and fl_y = {lens.fy:g}; pixels so far from square are not read")
    tall = round(image.height * stretch)
    if tall != image.height:
        cy *= tall / image.height
        image = image.resize((image.width, tall), Image.Resampling.BICUBIC)
    left, right = _about(cx, image.width)
    top, bottom = _about(cy, image.height)
    kept = min((right - left) / image.width, (bottom - top) / image.height)
    if kept < LEAST_KEPT:
        raise UserError(
            f"{path}: its principal point ({cx:.0f}, {cy:.0f}) is far from the middle of {image.width}x{image.height} "
            "pixels; crop the pictures about it"
        )
    return image.crop((left, top, right, bottom)), 2 * math.atan((right - left) / 2 / fx)


def _about(centre: float, size: int) -> tuple[int, int]:
    """The longest part of 0 to `size` with `centre` in its middle, to half a pixel."""
    if not 0 < centre < size:
        return 0, 0
    off = round(2 * centre) - size
    return max(0, off), size + min(0, off)
