"""Any pixels as 8-bit sRGB: colour profiles are applied, deep and float grey is scaled, not cut off."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy
from PIL import Image, ImageChops, ImageCms

SAME = 2
"""A profile that moves no channel by more (of 255) is sRGB's own: the file's bytes stay."""
SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
"""The colour space of the profile that fits a mode."""
TOPS = (1.0, 255.0, 65535.0)
"""What white is in float and 32-bit pictures: the first that all but the brightest hundredth stay under."""
BRIGHTEST = 0.99


@dataclass(frozen=True)
class Pixels:
    """`image` of mode L, RGB, CMYK or LAB, `alpha` of mode L or None, `notes` for the user."""

    image: Image.Image
    alpha: Image.Image | None
    notes: tuple[str, ...] = ()

    def reduced(self, factor: int) -> Pixels:
        """Averaged over squares of `factor` pixels; colours hidden under transparent pixels do not come in."""
        if self.alpha is None:
            return Pixels(self.image.reduce(factor), None, self.notes)
        rgba = self.image.convert("RGBA")
        rgba.putalpha(self.alpha)
        rgba = rgba.reduce(factor)
        return Pixels(rgba.convert(self.image.mode), rgba.getchannel("A"), self.notes)


def eight_bit(picture: Image.Image) -> Pixels:
    """A loaded picture of any mode at 8 bits a channel, its transparency told apart.

    Raises:
        ValueError: float grey of which no pixel is a number; no mode that Pillow converts.
    """
    if picture.mode[0] in "IF":
        return _deep_grey(picture)
    keyed = picture.info.get("transparency")
    if picture.mode == "RGB" and isinstance(keyed, tuple) and max(keyed) > 255:  # 16 bits, of which Pillow keeps 8
        picture.info["transparency"] = tuple(value >> 8 for value in keyed)
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert({"La": "LA", "RGBa": "RGBA"}[picture.mode])
    if picture.mode in ("P", "PA") or (picture.mode in ("1", "L", "RGB") and "transparency" in picture.info):
        picture = picture.convert("RGBA")
    if picture.mode == "LA":
        return Pixels(picture.getchannel("L"), picture.getchannel("A"))
    if picture.mode == "RGBA":
        return Pixels(picture.convert("RGB"), picture.getchannel("A"))
    if picture.mode == "1":
        picture = picture.convert("L")
    if picture.mode not in ("L", "RGB", "CMYK", "LAB"):
        picture = picture.convert("RGB")  # YCbCr, HSV
    return Pixels(picture, None)


def srgb(pixels: Pixels, profile: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """(the RGB image, notes), by the file's ICC profile if it has one; one that cannot be used is told and passed over."""
    image, notes = pixels.image, []
    if image.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    plain = image.convert("RGB") if image.mode != "LAB" else None
    if profile:
        try:
            image, name = _converted(image, profile)
        except (ImageCms.PyCMSError, ImportError, OSError, ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())[:60] or type(error).__name__
            notes.append(f"the file's colour profile cannot be used ({reason}): its colours are taken as sRGB")
        else:
            if plain is None or numpy.asarray(ImageChops.difference(image, plain)).max() > SAME:
                notes.append(f"its colours were converted from {name} to sRGB")
                return image, tuple(notes)
    if plain is None:
        raise ValueError("Lab colours cannot be converted")
    if pixels.image.mode == "CMYK" and not notes:
        notes.append("CMYK without a colour profile: its colours are a guess; an RGB picture is better")
    return plain, tuple(notes)


def _converted(image: Image.Image, data: bytes) -> tuple[Image.Image, str]:
    """(the image in sRGB, the profile's name)."""
    profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
    space = profile.profile.xcolor_space.strip()
    if image.mode == "L" and space == "RGB":
        image = image.convert("RGB")
    if image.mode != "LAB" and space != SPACES[image.mode]:
        raise ValueError(f"it is for {space}, the picture is {SPACES[image.mode]}")
    transform = ImageCms.buildTransform(
        profile,
        ImageCms.createProfile("sRGB"),
        image.mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    name = "".join(c for c in profile.profile.profile_description or "" if c.isprintable()).strip()[:40]
    return transform.apply(image), f"'{name}'" if name else "its profile's colours"


def _deep_grey(picture: Image.Image) -> Pixels:
    """16-bit, 32-bit and float grey, scaled so that white is 255. What is no number is black."""
    values = numpy.asarray(picture)
    alpha = None
    keyed = picture.info.get("transparency")
    if isinstance(keyed, int):
        alpha = Image.fromarray(numpy.where(values == keyed, 0, 255).astype(numpy.uint8))
    values = values.astype(numpy.float32)
    number = numpy.isfinite(values)
    if not number.any():
        raise ValueError("none of its pixels is a number")
    notes = []
    if not number.all():
        notes.append(f"{(~number).sum()} of its pixels are no numbers (nan or inf): taken as black")
        values = numpy.where(number, values, 0)
    deep = picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM"))
    white = 65535.0 if deep else _white(values)
    outside = float(((values < 0) | (values > white)).mean())
    if outside > 0:
        notes.append(f"{outside:.2%} of its pixels lie outside 0 to {white:g} (black to white): cut off")
    scaled = numpy.round(values.clip(0, white) * (255 / white)).astype(numpy.uint8)
    return Pixels(Image.fromarray(scaled), alpha, tuple(notes))


def _white(values: numpy.ndarray) -> float:
    """The value of white where the file does not say: a few pixels brighter than that do not darken the rest."""
    lit = values[values > 0]
    bright = float(numpy.quantile(lit, BRIGHTEST)) if lit.size else 1.0
    return next((top for top in TOPS if bright <= top), bright)
