"""Framing: how a picture with its mask becomes a denoiser's square input, in training and in use alike."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
import torch
from PIL import Image

from zero3d.errors import PictureError
from zero3d.values import Picture

FRAMINGS = ("keep", "demo", "fit")
FIT_SHARE = 0.6
"""`fit`: the mask's longest side as a share of the frame."""
DEMO_SHARE = 200 / 256
"""`demo`: the published demo's thumbnail, which never enlarges."""


@dataclass(frozen=True)
class Framed:
    """A prepared picture, `scale` (frame pixels per source pixel) and lines to tell the user."""

    picture: Picture
    scale: float
    notes: tuple[str, ...]


def frame(rgba: numpy.ndarray, framing: str, size: int) -> Framed:
    """Crop, scale and centre a picture by its mask onto white.

    Args:
        rgba: (H, W, 4) uint8, straight alpha; alpha above one half counts as the object.
        framing: "keep" (as given; a picture that is not square is padded, never stretched), "demo" (the mask's longest
            side at most 200/256 of the frame, never enlarged beyond `size`-scaled 256 pixels) or "fit" (at 0.6 of it).
        size: side of the result, pixels.

    Raises:
        PictureError: nothing is opaque.
    """
    opaque = rgba[..., 3] > 127
    if not opaque.any():
        raise PictureError("the mask is empty: no pixel is opaque; give another picture or input.mask=FILE")
    top, bottom, left, right = _bounds(opaque)
    height, width = opaque.shape
    notes = _lint(opaque, (top, bottom, left, right), framing)
    if framing == "keep":
        side = float(max(height, width))
        box = ((width - side) / 2, (height - side) / 2, side)
    else:
        longest = max(bottom - top, right - left)
        side = longest / (DEMO_SHARE if framing == "demo" else FIT_SHARE)
        if framing == "demo":
            side = max(side, 256.0)
        box = ((left + right - side) / 2, (top + bottom - side) / 2, side)
    image = _resample(rgba, box, size)
    mask = image[..., 3:]
    rgb = image[..., :3] + (1 - mask)
    picture = Picture(torch.from_numpy(rgb).clamp(0, 1), torch.from_numpy(mask).clamp(0, 1))
    return Framed(picture, size / side, tuple(notes))


def _bounds(opaque: numpy.ndarray) -> tuple[int, int, int, int]:
    rows = numpy.flatnonzero(opaque.any(axis=1))
    columns = numpy.flatnonzero(opaque.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _lint(opaque: numpy.ndarray, bounds: tuple[int, int, int, int], framing: str) -> list[str]:
    top, bottom, left, right = bounds
    height, width = opaque.shape
    sides = [
        name
        for name, touches in (
            ("top", top == 0),
            ("bottom", bottom == height),
            ("left", left == 0),
            ("right", right == width),
        )
        if touches
    ]
    notes = []
    if sides and not opaque.all():
        notes.append(f"the object touches the picture's {' and '.join(sides)} edge: it may be cut off, its model too")
    if opaque.all():
        notes.append(
            "the mask covers the whole picture: the frame's edge will become the object's edge; see input.mask"
        )
    longest, side = max(bottom - top, right - left), max(height, width)
    if framing == "keep" and height != width:
        notes.append(f"the picture is {width}x{height}: padded to a square, not stretched")
    if framing == "keep" and not 0.3 <= longest / side <= 0.95:
        notes.append(
            f"the object's longest side is {longest / side:.2f} of the frame; input.framing=fit makes it {FIT_SHARE}"
        )
    if longest < 32:
        notes.append(f"the object is {right - left}x{bottom - top} pixels: expect little detail")
    return notes


def _resample(rgba: numpy.ndarray, box: tuple[float, float, float], size: int) -> numpy.ndarray:
    """The square `box` (left, top, side; may reach outside) of the premultiplied picture, (size, size, 4) float32."""
    left, top, side = box
    pad = [max(0, math.ceil(v)) + 2 for v in (-top, top + side - rgba.shape[0], -left, left + side - rgba.shape[1])]
    values = rgba.astype(numpy.float32) / 255
    values[..., :3] *= values[..., 3:]
    values = numpy.pad(values, ((pad[0], pad[1]), (pad[2], pad[3]), (0, 0)))
    corner = (left + pad[2], top + pad[0], left + pad[2] + side, top + pad[0] + side)
    channels = [
        numpy.asarray(
            Image.fromarray(values[..., c]).resize(
                (size, size), Image.Resampling.BOX if side > 2 * size else Image.Resampling.BILINEAR, box=corner
            )
        )
        for c in range(4)
    ]
    return numpy.stack(channels, axis=-1).astype(numpy.float32)
