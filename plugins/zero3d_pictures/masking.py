"""Finding the object in a picture without alpha, by its plain background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import scipy

TOLERANCE = 28
"""How far (Euclidean, 8-bit RGB) a background pixel may be from the border's median colour."""
PLAIN_SHARE = 0.9
"""How much of the border must be of one colour for the background to count as plain."""
PIECE_SHARE = 0.02
"""Foreground pieces smaller than this share of the largest are dust."""
OBJECT_SHARE = (0.002, 0.98)
"""A mask that covers less or more of the picture found no object."""
ENCLOSED_SHARE = 0.002
"""Background-coloured patches inside the object, from this share of the picture on, are worth a word."""
ONE_COLOUR = 8
"""Pictures whose channels all vary by at most this much (of 255) show nothing."""


@dataclass(frozen=True)
class Found:
    """`mask` (H, W) uint8, 0 or 255, and how it was found."""

    mask: numpy.ndarray
    note: str


def plain_background(rgb: numpy.ndarray) -> Found | None:
    """(H, W, 3) uint8 -> the object before a plain background, or None if there is none or nothing stands out.

    Background is what is connected to the border and close to its median colour, so that a white shirt on white keeps
    its inside. Where the background also shows through the object (a mug's handle), that cannot be told from paint;
    the note says so.
    """
    border = numpy.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    middle = numpy.median(border, axis=0).round().astype(numpy.int32)
    if _close(border, middle).mean() < PLAIN_SHARE:
        return None
    like = _close(rgb, middle)
    regions, _ = scipy.ndimage.label(like)
    at_border = numpy.unique(numpy.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    background = numpy.isin(regions, at_border[at_border > 0])
    mask = cleaned(~background)
    if mask is None:
        return None
    colour = "#{:02x}{:02x}{:02x}".format(*middle)
    note = f"no alpha: the object, {(mask > 0).mean():.0%} of the picture, was told from the plain background {colour}"
    if (like & (mask > 0)).mean() > ENCLOSED_SHARE:
        note += "; parts of that colour inside it count as object: if one is a hole, give input.mask=FILE"
    return Found(mask, note)


def _close(rgb: numpy.ndarray, colour: numpy.ndarray) -> numpy.ndarray:
    """Which pixels are within TOLERANCE of the colour; channel by channel, for the sake of memory."""
    distance = numpy.zeros(rgb.shape[:-1], numpy.int32)
    for c in range(3):
        distance += (rgb[..., c].astype(numpy.int32) - colour[c]) ** 2
    near: numpy.ndarray = distance < TOLERANCE**2
    return near


def of_one_colour(rgb: numpy.ndarray) -> bool:
    """Whether (H, W, 3) uint8 shows nothing at all."""
    return all(int(numpy.ptp(rgb[..., c])) <= ONE_COLOUR for c in range(3))


def cleaned(foreground: numpy.ndarray) -> numpy.ndarray | None:
    """(H, W) bool -> uint8, 0 or 255, without dust; None if hardly anything or nearly everything is left."""
    pieces, count = scipy.ndimage.label(foreground)
    if count == 0:
        return None
    sizes = numpy.bincount(pieces.ravel())
    sizes[0] = 0
    kept = (sizes >= PIECE_SHARE * sizes.max())[pieces]
    if not OBJECT_SHARE[0] < kept.mean() < OBJECT_SHARE[1]:
        return None
    return numpy.where(kept, 255, 0).astype(numpy.uint8)
