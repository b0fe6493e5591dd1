"""Reading picture files safely: size first, pixels later, every fault in one line."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import Image, ImageOps, UnidentifiedImageError

from zero3d import PictureError

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000")
"""Formats that Pillow decodes by itself; others (EPS) would start programs."""
MAX_PIXELS = 64_000_000
MIN_SIDE = 16
KEPT_SIDE = 4096
"""Larger pictures are averaged down to this: no denoiser sees more, and finding the object stays quick."""


@dataclass(frozen=True)
class Decoded:
    """A file's pixels: `rgba` (H, W, 4) uint8, straight alpha; `has_alpha`: the file says so; `size` in the file
    (width, height, upright); `notes` for the user."""

    rgba: numpy.ndarray
    has_alpha: bool
    size: tuple[int, int]
    notes: tuple[str, ...]


def read(path: str, option: str) -> Decoded:
    """The decoded picture, upright, first frame, at most KEPT_SIDE a side; `option` is the recipe's key for errors.

    Raises:
        PictureError: missing, a folder, no picture, damaged, over MAX_PIXELS, or under MIN_SIDE pixels a side.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise PictureError(f"{option}: {path}: no such file; give a PNG, JPEG or WebP picture")
    if not file.is_file():
        raise PictureError(f"{option}: {path} is {'a folder' if file.is_dir() else 'no plain file'}; give a picture")
    Image.init()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit follows
            picture = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
        with picture:
            _check_size(path, option, *picture.size)
            return _decode(picture)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(f"{option}: {path} is far larger than {MAX_PIXELS // 10**6} megapixels; shrink it") from None
    except UnidentifiedImageError:
        raise PictureError(f"{option}: {path} is no picture of a known format; save it as PNG or JPEG") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, struct.error, ...
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise PictureError(f"{option}: {path} cannot be read as a picture ({reason}); save it again as PNG") from None


def _check_size(path: str, option: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise PictureError(f"{option}: {path} has {width}x{height} pixels, over {limit} megapixels; shrink it")
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"{option}: {path} has {width}x{height} pixels; at least {MIN_SIDE} a side are needed")


def _decode(picture: Image.Image) -> Decoded:
    notes = []
    animated = bool(getattr(picture, "is_animated", False)) and picture.format != "MPO"  # MPO: a photo and its preview
    if animated:
        picture.seek(0)
        notes.append("the file holds several pictures: the first is used")
    picture.load()
    has_alpha = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    white = _white(picture)
    upright = picture
    with contextlib.suppress(Exception):  # damaged EXIF data must not make a good picture unreadable
        upright = ImageOps.exif_transpose(picture)
    size = upright.size
    rgba = _to_rgba(upright, white)
    if max(size) > KEPT_SIDE:
        rgba = rgba.reduce(-(-max(size) // KEPT_SIDE))
        notes.append(f"the file has {size[0]}x{size[1]} pixels: used at {rgba.width}x{rgba.height}")
    return Decoded(numpy.array(rgba), has_alpha, size, tuple(notes))


def _white(picture: Image.Image) -> float:
    """The value of white where a pixel is one number of more than 8 bits."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        return 65535.0
    if picture.mode in ("I", "F"):
        largest = float(numpy.asarray(picture).max())
        return next((top for top in (1.0, 255.0, 65535.0) if largest <= top), largest)
    return 255.0


def _to_rgba(picture: Image.Image, white: float) -> Image.Image:
    """Any mode as RGBA; 16-bit and float grey is scaled down, not cut off."""
    if picture.mode[0] in "IF":
        values = numpy.asarray(picture).astype(numpy.float32)
        picture = Image.fromarray(numpy.clip(numpy.round(values * (255 / white)), 0, 255).astype(numpy.uint8))
    elif picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La"):
        picture = picture.convert("RGB")  # CMYK, YCbCr, LAB, HSV
    if picture.mode == "La":
        picture = picture.convert("LA")
    return picture.convert("RGBA")


def brightness_or_alpha(decoded: Decoded) -> numpy.ndarray:
    """(H, W) uint8, a picture read as a mask: its alpha channel if that says anything, else brightness."""
    if decoded.rgba[..., 3].min() < 255:
        return decoded.rgba[..., 3]
    return numpy.array(Image.fromarray(decoded.rgba).convert("L"))
