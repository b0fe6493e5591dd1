"""Reading picture files safely: size first, pixels later, every fault in one line."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy
from PIL import Image, ImageOps

from zero3d import PictureError

MAX_PIXELS = 64_000_000
MIN_SIDE = 16


def read(path: str, option: str) -> Image.Image:
    """The decoded picture, upright, first frame; `option` is the recipe's key for the error line.

    Raises:
        PictureError: missing, a folder, no picture, damaged, over MAX_PIXELS, or under MIN_SIDE pixels a side.
    """
    if not Path(path).exists():
        raise PictureError(f"{option}: {path}: no such file; give a PNG, JPEG or WebP picture")
    if not Path(path).is_file():
        raise PictureError(f"{option}: {path} is a folder; give a picture file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            picture = Image.open(path)
        width, height = picture.size
        _check_size(path, option, width, height)
        picture.load()
        return ImageOps.exif_transpose(picture)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(f"{option}: {path} is far larger than {MAX_PIXELS // 10**6} megapixels; shrink it") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, struct.error, ...
        raise PictureError(f"{option}: {path} cannot be read as a picture ({error}); save it again as PNG") from None


def _check_size(path: str, option: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise PictureError(f"{option}: {path} has {width}x{height} pixels, over {limit} megapixels; shrink it")
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"{option}: {path} has {width}x{height} pixels; at least {MIN_SIDE} a side are needed")


def to_rgba(picture: Image.Image) -> numpy.ndarray:
    """(H, W, 4) uint8 of any mode; 16-bit grey is scaled down, not cut off."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = numpy.asarray(picture).astype(numpy.float64)
        top = 255.0 if values.max() <= 255 else 65535.0
        grey = numpy.clip(255 * values / top, 0, 255).astype(numpy.uint8)
        picture = Image.fromarray(grey)
    return numpy.array(picture.convert("RGBA"))


def to_mask(picture: Image.Image) -> numpy.ndarray:
    """(H, W) uint8: the alpha channel if it says anything, else brightness."""
    rgba = to_rgba(picture)
    if rgba[..., 3].min() < 255:
        return rgba[..., 3]
    return numpy.array(Image.fromarray(rgba).convert("L"))
