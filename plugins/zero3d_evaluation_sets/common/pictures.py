"""Pictures with their cameras, out of files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d import UserError
from zero3d.geometry import check_cameras
from zero3d.interfaces import EvaluationView
from zero3d.pose_files import LARGEST, read_pose
from zero3d.transforms import Frame, posed_picture
from zero3d.values import PUBLISHED_FOV, Cameras

FORMATS = ("PNG", "JPEG", "WEBP")
DEEP = ("I;16", "I;16B", "I;16L", "I", "F")
OFF_CENTRE = 0.01
"""Share of a side by which a principal point may lie off the middle: a pixel or two of what is compared."""


@contextmanager
def _opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """The picture, for as long as its pixels are read: what is wrong with the file may show at any of them."""
    try:
        with Image.open(path, formats=formats) as picture:
            yield picture
    except FileNotFoundError:
        raise UserError(f"{path}: no such picture; copy the object again") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: cannot be read as a picture ({str(error)[:120]}); copy it again") from None


def read_rgba(path: Path) -> Tensor:
    """(H, W, 4) in [0, 1], straight alpha; opaque where the file has none.

    Raises:
        UserError: missing, damaged, or of 16 bits grey.
    """
    with _opened(path, FORMATS) as picture:
        if picture.mode in DEEP:
            raise UserError(f"{path}: {picture.mode} pixels; a picture of 8 bits a channel is needed")
        pixels = numpy.array(picture.convert("RGBA"))
    return torch.from_numpy(pixels).float() / 255


def read_grey16(path: Path) -> Tensor:
    """(H, W) float32, 0 to 65535, of a PNG of 16 bits.

    Raises:
        UserError: missing, damaged, or of another kind.
    """
    with _opened(path, ("PNG",)) as picture:
        mode, pixels = picture.mode, numpy.array(picture)
    if mode not in ("I;16", "I") or pixels.ndim != 2:
        raise UserError(f"{path}: {mode} pixels; depths are grey of 16 bits")
    return torch.from_numpy(pixels.astype(numpy.float32))


def posed(rgba: Tensor, camera_to_world: Tensor, fov: float, who: str) -> EvaluationView:
    """The picture from that pose (4, 4); `fov` radians across the width.

    Raises:
        UserError: no pose; the line begins with `who`.
    """
    camera = Cameras(camera_to_world.double()[None], rgba.shape[0], rgba.shape[1], fov)
    check_cameras(camera, who)
    return EvaluationView(rgba, Cameras(camera.camera_to_world.float(), camera.height, camera.width, fov))


def numbered_view(stem: Path) -> EvaluationView:
    """NNN.png with NNN.npy (3x4 world-to-camera, OpenGL axes), taken by the published lens.

    Raises:
        UserError: one of them is missing or damaged.
    """
    file = stem.with_suffix(".npy")
    try:
        with file.open("rb") as opened:
            pose = read_pose(opened.read(LARGEST), str(file), ((3, 4), (4, 4)))
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); copy the object again") from None
    return posed(read_rgba(stem.with_suffix(".png")), pose, PUBLISHED_FOV, str(file))


def framed_view(frame: Frame, path: Path | None = None) -> EvaluationView:
    """A frame of a transforms.json; `path` in place of the frame's own picture.

    Raises:
        UserError: no picture or pose, pixels that are not square, or a principal point off the middle.
    """
    block = posed_picture(frame, 1.0, (0.0, 0.0, 0.0))
    centred(block.get("principal_point", (0.5, 0.5)), str(frame.path))
    fov = float(numpy.deg2rad(block["fov_deg"]))
    return posed(read_rgba(path or frame.path), torch.from_numpy(frame.pose), fov, str(frame.path))


def centred(principal_point: tuple[float, float], who: str) -> None:
    """Raises:
    UserError: the principal point (shares of width and height) lies off the middle.
    """
    if max(abs(share - 0.5) for share in principal_point) > OFF_CENTRE:
        across, down = principal_point
        raise UserError(
            f"{who}: its principal point is at ({across:.3f}, {down:.3f}) of the picture; in the middle it can be drawn"
        )
