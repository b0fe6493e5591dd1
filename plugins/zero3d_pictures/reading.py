"""Reading picture files safely: size first, pixels later, every fault in one line."""

from __future__ import annotations

import contextlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from zero3d import PictureError
from zero3d_pictures import heic
from zero3d_pictures.colour import eight_bit, srgb
from zero3d_pictures.kinds import unread

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM", "TGA", "JPEG2000")
"""Formats that Pillow decodes by itself; others (EPS) would start programs."""
MAX_PIXELS = 64_000_000
MIN_SIDE = 16
KEPT_SIDE = 4096
"""Larger pictures are averaged down to this: no denoiser sees more, and finding the object stays quick."""
WEB = ("http://", "https://", "ftp://", "data:")
"""How what is no path begins: nothing is fetched on a picture's behalf."""


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
    file = plain_file(path, option)
    Image.init()
    try:
        if heic.is_heic(file):
            return _read_heic(file, path, option)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # bombs: our own limit follows; damaged metadata: the pixels count
            picture = Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])
            with picture:
                _check_size(path, option, *picture.size)
                return _decode(picture, bool(getattr(picture, "is_animated", False)))
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(f"{option}: {path} is far larger than {MAX_PIXELS // 10**6} megapixels; shrink it") from None
    except UnidentifiedImageError:
        raise PictureError(f"{option}: {path} is {unread(file)}") from None
    except MemoryError:
        raise PictureError(f"{option}: {path} asks for more memory than there is; shrink it") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, struct.error, ...
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        reason = " ".join(str(reason).split())[:100] or type(error).__name__
        raise PictureError(f"{option}: {path} cannot be read as a picture ({reason}); save it again as PNG") from None


def exists(path: str) -> bool:
    """Whether something lies there; what is no path at all (too long, a NUL byte, ~nobody) does not exist."""
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def plain_file(path: str, option: str) -> Path:
    """The path of a file that is there.

    Raises:
        PictureError: it is not, is a folder or a device, or is no path at all.
    """
    try:
        file = Path(path).expanduser()
        if not file.exists():
            remedy = "save it as a file first" if path.startswith(WEB) else "give a PNG, JPEG or WebP picture"
            raise PictureError(f"{option}: {path}: no such file; {remedy}")
        if not file.is_file():
            kind = "a folder" if file.is_dir() else "no plain file"
            raise PictureError(f"{option}: {path} is {kind}; give a picture")
    except (OSError, ValueError, RuntimeError) as error:  # too long, a NUL byte, ~nobody, a parent that is closed to us
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise PictureError(f"{option}: {path[:200]!r} cannot be looked at ({reason}); give a picture") from None
    return file


def _check_size(path: str, option: str, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        limit = MAX_PIXELS // 10**6
        raise PictureError(f"{option}: {path} has {width}x{height} pixels, over {limit} megapixels; shrink it")
    if min(width, height) < MIN_SIDE:
        raise PictureError(f"{option}: {path} has {width}x{height} pixels; at least {MIN_SIDE} a side are needed")


def _read_heic(file: Path, path: str, option: str) -> Decoded:
    if not heic.available():
        remedy = "pip install 'zero3d[heic]', or save it as PNG or JPEG"
        raise PictureError(f"{option}: {path} is a phone's HEIC: {remedy}")
    found = heic.read_heic(file, MAX_PIXELS)
    _check_size(path, option, *found.size)
    with Image.open(io.BytesIO(found.png), formats=["PNG"]) as picture:
        return _decode(picture, found.count > 1)


def _decode(picture: Image.Image, several: bool) -> Decoded:
    notes = []
    if several and picture.format != "MPO":  # MPO: a photo and its preview
        picture.seek(0)
        notes.append("the file holds several pictures: the first, or the one marked as the main one, is used")
    picture.load()
    has_alpha = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    notes += _unsaid_colours(picture)
    upright = picture
    with contextlib.suppress(Exception):  # damaged EXIF data must not make a good picture unreadable
        upright = ImageOps.exif_transpose(picture)
    upright.format = picture.format  # a turned copy has none
    size, profile = upright.size, picture.info.get("icc_profile")
    pixels = eight_bit(upright)
    if max(size) > KEPT_SIDE:
        pixels = pixels.reduced(-(-max(size) // KEPT_SIDE))
        notes.append("the file has {}x{} pixels: used at {}x{}".format(*size, *pixels.image.size))
    rgb, told = srgb(pixels, profile)
    rgba = rgb.convert("RGBA")
    if pixels.alpha is not None:
        rgba.putalpha(pixels.alpha)
    notes += [*pixels.notes, *told]
    return Decoded(numpy.array(rgba), has_alpha, size, tuple(notes))


def _unsaid_colours(picture: Image.Image) -> list[str]:
    """A word about colours that are not sRGB where no profile says which they are."""
    if picture.info.get("icc_profile"):
        return []
    gamma = picture.info.get("gamma")
    if isinstance(gamma, float) and abs(gamma - 1 / 2.2) > 0.02 and "srgb" not in picture.info:
        return [
            f"the file says gamma {gamma:.3g} instead of sRGB's 0.45: not applied; save it as sRGB if it looks wrong"
        ]
    with contextlib.suppress(Exception):
        exif = picture.getexif()
        if exif.get_ifd(ExifTags.IFD.Interop).get(1) == "R03":
            return ["the camera wrote Adobe RGB and no profile: its colours are taken as sRGB; save it as sRGB"]
    return []


def brightness_or_alpha(decoded: Decoded) -> numpy.ndarray:
    """(H, W) uint8, a picture read as a mask: its alpha channel if that says anything, else brightness."""
    if decoded.rgba[..., 3].min() < 255:
        return decoded.rgba[..., 3]
    return numpy.array(Image.fromarray(decoded.rgba).convert("L"))
