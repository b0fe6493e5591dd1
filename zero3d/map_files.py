"""Maps that another program made of a picture: depths, normals and points, one number or three a pixel."""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.exr import read_exr

LARGEST = 8192
"""Pixels a side."""


DEPTH_CHANNELS = ("Z", "depth", "Depth", "depth.Z", "V", "Y", "R")
"""Of an EXR of several channels, the first of these that is there."""


def read_map(
    path: str, channels: int, name: str = "file", square: bool = True, holes: bool = False, full: float = 65535.0
) -> Tensor:
    """(H, W, channels) float32: of a .npy or an EXR as it is; of a PNG of 16 grey bits over `full`, of 3 x 8 bits in [0, 1].

    square: framed as the prepared picture, and refused otherwise. holes: nan and inf are let through.

    Raises:
        ValueError: none there, another format or shape, not finite; one line that names the option `name`.
    """
    kinds = ".npy, .png or .exr" if holes else ".npy or .png"
    framed = " of the prepared picture's frame" if square else ""
    if not path:
        raise ValueError(f"{name}: none given; name a {kinds}{framed}, say {name}: depth.npy")
    source, wanted = Path(path).expanduser(), "(H, W)" if channels == 1 else f"(H, W, {channels})"
    try:
        values = _pixels(source, channels, full)
    except FileNotFoundError:
        raise ValueError(f"{name}: {path}: no such file; give the path of a {kinds}") from None
    except UserError as error:
        raise ValueError(f"{name}: {error}") from None
    except (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{name}: {path}: cannot be read ({reason}); a {kinds} is needed") from None
    if channels == 1 and values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    fits = values.shape[2:] == (() if channels == 1 else (channels,)) and values.ndim >= 2
    if values.dtype.kind not in "fiu" or not fits:
        raise ValueError(f"{name}: {path}: {values.dtype} of shape {values.shape}; {wanted} numbers are needed")
    height, width = values.shape[:2]
    if not 2 <= min(height, width) <= max(height, width) <= LARGEST or (square and height != width):
        needs = f"square, 2 to {LARGEST}, framed as the prepared picture" if square else f"2 to {LARGEST} a side"
        raise ValueError(f"{name}: {path}: {width}x{height} pixels; {needs}")
    found = torch.from_numpy(values.astype(numpy.float32)).reshape(height, width, channels)
    if not holes and not bool(torch.isfinite(found).all()):
        raise ValueError(f"{name}: {path}: holds nan or inf; write 0 where nothing is known and mask it in the picture")
    return found


def sized(values: Tensor, height: int, width: int) -> Tensor:
    """(H, W, C) averaged down, or bilinearly up, to (height, width, C)."""
    planes = values.movedim(-1, 0)[None]
    if height <= values.shape[0]:
        return functional.interpolate(planes, (height, width), mode="area")[0].movedim(0, -1)
    return functional.interpolate(planes, (height, width), mode="bilinear", align_corners=False)[0].movedim(0, -1)


def _pixels(path: Path, channels: int, full: float) -> numpy.ndarray:
    if path.suffix.lower() == ".exr":
        return _exr(path, channels)
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
        return numpy.asarray(image, dtype=numpy.float32) / full


def _exr(path: Path, channels: int) -> numpy.ndarray:
    if not path.is_file():
        raise FileNotFoundError
    held = read_exr(path)
    if channels == 3:
        names: list[str] = next((list(names) for names in ("XYZ", "RGB") if held.keys() >= set(names)), [])
    else:
        names = [next(name for name in (*DEPTH_CHANNELS, *held) if name in held)]
    if not names:
        raise ValueError(f"channels {', '.join(sorted(held))}, not R, G, B")
    return numpy.stack([held[name].astype(numpy.float32) for name in names], axis=-1)
