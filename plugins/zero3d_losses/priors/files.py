"""Maps that another program made of the picture: depth and normals, one number or three a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

LARGEST = 8192
"""Pixels a side."""


def read_map(path: str, channels: int, name: str = "file") -> Tensor:
    """(H, W, channels) float32: of a .npy as it is; of a PNG (16 bits for one channel, 8 for three) in [0, 1].

    Raises:
        ValueError: none there, another format, not square, not finite; one line that names the option `name`.
    """
    if not path:
        raise ValueError(
            f"{name}: none given; name a .npy or .png of the prepared picture's frame, say {name}: depth.npy"
        )
    source, wanted = Path(path).expanduser(), "(H, W)" if channels == 1 else f"(H, W, {channels})"
    try:
        values = _pixels(source, channels)
    except FileNotFoundError:
        raise ValueError(f"{name}: {path}: no such file; give the path of a .npy or .png") from None
    except (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{name}: {path}: cannot be read ({reason}); a .npy or .png is needed") from None
    if channels == 1 and values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if (
        values.dtype.kind not in "fiu"
        or values.ndim != (2 if channels == 1 else 3)
        or values.shape[2:]
        not in (
            (),
            (channels,),
        )
    ):
        raise ValueError(f"{name}: {path}: {values.dtype} of shape {values.shape}; {wanted} numbers are needed")
    if values.shape[0] != values.shape[1] or not 2 <= values.shape[0] <= LARGEST:
        raise ValueError(
            f"{name}: {path}: {values.shape[1]}x{values.shape[0]} pixels; square, 2 to {LARGEST}, "
            "framed as the prepared picture"
        )
    found = torch.from_numpy(values.astype(numpy.float32)).reshape(*values.shape[:2], channels)
    if not bool(torch.isfinite(found).all()):
        raise ValueError(f"{name}: {path}: holds nan or inf; write 0 where nothing is known and mask it in the picture")
    return found


def sized(values: Tensor, height: int, width: int) -> Tensor:
    """(H, W, C) averaged down, or bilinearly up, to (height, width, C)."""
    planes = values.movedim(-1, 0)[None]
    if height <= values.shape[0]:
        return functional.interpolate(planes, (height, width), mode="area")[0].movedim(0, -1)
    return functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False)[0].movedim(0, -1)


def _pixels(path: Path, channels: int) -> numpy.ndarray:
    if path.suffix.lower() == ".npy":
        read: numpy.ndarray = numpy.load(path, allow_pickle=False)
        if not isinstance(read, numpy.ndarray):
            raise ValueError("an archive of several arrays")
        return read
    with Image.open(path, formats=["PNG"]) as image:
        if max(image.size) > LARGEST:
            raise ValueError(f"over {LARGEST} pixels a side")
        if channels == 3:
            return numpy.asarray(image.convert("RGB"), dtype=numpy.float32) / 255
        if image.mode not in ("I;16", "I"):
            raise ValueError(f"{image.mode} pixels, not 16-bit grey")
        return numpy.asarray(image, dtype=numpy.float32) / 65535
