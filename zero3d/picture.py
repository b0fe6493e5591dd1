"""Framing: how a picture with its mask becomes a denoiser's square input, in training and in use alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy

from zero3d.errors import PictureError

if TYPE_CHECKING:
    import scipy.sparse

    from zero3d.values import Picture, Window

FRAMINGS = ("keep", "demo", "fit")
FIT_SHARE = 0.6
"""`fit`: the mask's longest side as a share of the frame."""
DEMO_SHARE = 200 / 256
"""`demo`: the published demo's thumbnail, which never enlarges."""
DEMO_FRAME = 256.0
"""`demo`: the least side of the frame in source pixels."""
SPECKS_SHARE = 0.02
"""Loose pieces that make up less than this share of the mask are more likely dirt than object."""


@dataclass(frozen=True)
class Framed:
    """A prepared picture, `scale` (frame pixels per source pixel), lines to tell the user, what it shows of its source."""

    picture: Picture
    scale: float
    notes: tuple[str, ...]
    window: Window


def frame(rgba: numpy.ndarray, framing: str, size: int, middle: tuple[float, float] = (0.5, 0.5)) -> Framed:
    """Crop, scale and centre a picture by its mask onto white.

    Args:
        rgba: (H, W, 4) uint8, straight alpha; alpha above one half counts as the object.
        framing: "keep" (as given; a picture that is not square is padded, never stretched), "demo" (the mask's longest
            side at 200/256 of the frame, but at most one pixel of a 256-pixel frame to one of the picture) or "fit"
            (at 0.6 of it). The last two put the middle of the mask's bounding box in the middle of the frame.
        size: side of the result, pixels.
        middle: of "keep", what comes to the middle of the frame: shares of width and height.

    Raises:
        PictureError: nothing is opaque.
        ValueError: no such framing.
    """
    opaque = rgba[..., 3] > 127
    if not opaque.any():
        raise PictureError("the mask is empty: no pixel is opaque; give another picture or input.mask=FILE")
    top, bottom, left, right = mask_bounds(opaque)
    longest = max(bottom - top, right - left)
    if framing == "keep":
        side = float(max(opaque.shape))
        centre = (opaque.shape[0] * middle[1], opaque.shape[1] * middle[0])
    elif framing in FRAMINGS:
        side = longest / FIT_SHARE if framing == "fit" else max(longest / DEMO_SHARE, DEMO_FRAME)
        centre = ((top + bottom) / 2, (left + right) / 2)
    else:
        raise ValueError(f"framing: {framing!r}; one of {', '.join(FRAMINGS)}")
    import torch  # takes a second; recipes are read by who only asks for FRAMINGS

    from zero3d.values import Picture, Window

    image = torch.from_numpy(square_around(rgba, centre, side, size))
    mask = image[..., 3:]
    picture = Picture((image[..., :3] + (1 - mask)).clamp(0, 1), mask)
    window = Window(centre[1] - side / 2, centre[0] - side / 2, side, *opaque.shape)
    return Framed(picture, size / side, tuple(_lint(opaque, longest, side, framing)), window)


def mask_bounds(opaque: numpy.ndarray) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of the pixels (H, W) that are set, of which there is one; bottom and right are exclusive."""
    rows = numpy.flatnonzero(opaque.any(axis=1))
    columns = numpy.flatnonzero(opaque.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _lint(opaque: numpy.ndarray, longest: int, side: float, framing: str) -> list[str]:
    """What the user should know about the mask; `longest` side of the object and `side` of the frame, source pixels."""
    notes = []
    height, width = opaque.shape
    edges = {"top": opaque[0], "bottom": opaque[-1], "left": opaque[:, 0], "right": opaque[:, -1]}
    touched = [name for name, pixels in edges.items() if pixels.any()]
    if opaque.all():
        notes.append(
            "the mask covers the whole picture: the frame's edge will become the object's edge; see input.mask"
        )
    elif touched:
        notes.append(f"the object touches the picture's {' and '.join(touched)} edge: it may be cut off, its model too")
    if framing == "keep" and height != width:
        notes.append(f"the picture is {width}x{height}: padded to a square, not stretched")
    if framing != "fit" and not 0.3 <= longest / side <= 0.95:
        notes.append(f"the object's longest side is {longest / side:.2f} of the frame; input.framing=fit: {FIT_SHARE}")
    if longest < 32:
        notes.append(f"the object's longest side is {longest} pixel{'s'[: longest != 1]}: expect little detail")
    import scipy.ndimage

    pieces, count = scipy.ndimage.label(opaque)
    if count > 1:
        sizes = numpy.bincount(pieces.ravel())[1:]
        main = mask_bounds(pieces == 1 + int(sizes.argmax()))
        reach = max(main[1] - main[0], main[3] - main[2])
        if sizes.max() > (1 - SPECKS_SHARE) * sizes.sum() and reach < 0.9 * longest:
            notes.append("specks far from the object count as part of it: it comes out small; clean the mask")
    return notes


def square_around(rgba: numpy.ndarray, middle: tuple[float, float], side: float, size: int) -> numpy.ndarray:
    """The square around `middle` (row, column) of the premultiplied picture: (size, size, 4) float32 in [0, 1].

    rgba: (H, W, 4) uint8, straight alpha; around it all is transparent. middle, side: source pixels.
    Premultiplied, so that the colours hidden under transparent pixels do not bleed into the edges. One channel at a
    time and as sparse products, so that a large picture costs little memory.
    """
    down = _shares(middle[0] - side / 2, side / size, size, rgba.shape[0])
    across = _shares(middle[1] - side / 2, side / size, size, rgba.shape[1])
    alpha = rgba[..., 3].astype(numpy.float32) / 255
    channels = []
    for c in range(4):
        values = alpha if c == 3 else alpha * (rgba[..., c].astype(numpy.float32) / 255)
        channels.append(across @ (down @ values).T)
    return numpy.ascontiguousarray(numpy.stack(channels, axis=-1).swapaxes(0, 1)).clip(0, 1)


def _shares(start: float, step: float, size: int, length: int) -> scipy.sparse.csr_array:
    """(size, length): what share of each source pixel goes into each of `size` intervals from `start`, `step` long.

    Shrinking averages over areas; enlarging interpolates linearly. Outside the picture is transparent, so rows may sum
    to less than one.
    """
    edges = start + step * numpy.arange(size + 1)
    low, high = edges[:-1], edges[1:]
    if step < 1:  # a tent one source pixel wide on either side of the middle
        middle = (low + high) / 2
        low, high = middle - 1, middle + 1
    reach = int(numpy.ceil(high - low).max()) + 1
    pixel = numpy.floor(low).astype(int)[:, None] + numpy.arange(reach)
    if step < 1:
        share = 1 - abs(pixel + 0.5 - middle[:, None])
    else:
        share = (numpy.minimum(pixel + 1, high[:, None]) - numpy.maximum(pixel, low[:, None])) / step
    row = numpy.broadcast_to(numpy.arange(size)[:, None], pixel.shape)
    kept = (share > 0) & (pixel >= 0) & (pixel < length)
    import scipy.sparse

    return scipy.sparse.csr_array((share[kept].astype(numpy.float32), (row[kept], pixel[kept])), shape=(size, length))
