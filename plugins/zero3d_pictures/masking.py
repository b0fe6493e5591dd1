"""Finding the object in a picture without alpha: a plain background, or GrabCut."""

from __future__ import annotations

import numpy
from scipy import ndimage

from zero3d import PictureError

TOLERANCE = 28.0
"""How far (Euclidean, 8-bit RGB) a background pixel may be from the border's median colour."""
PLAIN_SHARE = 0.9
"""How much of the border must be of one colour for the background to count as plain."""
PIECE_SHARE = 0.02
"""Foreground pieces smaller than this share of the largest are dust."""


def plain_background(rgb: numpy.ndarray) -> numpy.ndarray | None:
    """(H, W, 3) uint8 -> (H, W) uint8 mask, or None if the border is not of one colour or nothing stands out.

    Background is what is connected to the border and close to its median colour, so that a white shirt on white keeps
    its inside.
    """
    border = numpy.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]).astype(numpy.float32)
    middle = numpy.median(border, axis=0)
    if (numpy.linalg.norm(border - middle, axis=1) < TOLERANCE).mean() < PLAIN_SHARE:
        return None
    like = numpy.linalg.norm(rgb.astype(numpy.float32) - middle, axis=2) < TOLERANCE
    regions, _ = ndimage.label(like)
    at_border = numpy.unique(numpy.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    background = numpy.isin(regions, at_border[at_border > 0])
    return _cleaned(~background)


def grabcut(rgb: numpy.ndarray) -> numpy.ndarray | None:
    """(H, W, 3) uint8 -> (H, W) uint8 mask by GrabCut from a centred rectangle (OpenCV), or None if it finds nothing.

    Raises:
        PictureError: OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise PictureError("input.mask: grabcut needs OpenCV: pip install 'zero3d[grabcut]'") from None
    height, width = rgb.shape[:2]
    scale = min(1.0, 480 / max(height, width))
    small = cv2.resize(rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    labels = numpy.zeros(small.shape[:2], numpy.uint8)
    inset = [max(1, side // 20) for side in (small.shape[1], small.shape[0])]
    rectangle = (*inset, small.shape[1] - 2 * inset[0], small.shape[0] - 2 * inset[1])
    cv2.setRNGSeed(0)  # GrabCut's clustering draws random numbers: the same picture must give the same mask
    cv2.grabCut(
        small[..., ::-1].copy(),
        labels,
        rectangle,
        numpy.zeros((1, 65)),
        numpy.zeros((1, 65)),
        5,
        cv2.GC_INIT_WITH_RECT,
    )
    found = numpy.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(numpy.uint8)
    full = cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR) > 0
    return _cleaned(full)


def _cleaned(foreground: numpy.ndarray) -> numpy.ndarray | None:
    """Drop dust; None if hardly anything or nearly everything is left."""
    pieces, count = ndimage.label(foreground)
    if count == 0:
        return None
    sizes = ndimage.sum_labels(foreground, pieces, numpy.arange(1, count + 1))
    kept = numpy.isin(pieces, 1 + numpy.flatnonzero(sizes >= PIECE_SHARE * sizes.max()))
    if not 0.002 < kept.mean() < 0.98:
        return None
    return numpy.where(kept, 255, 0).astype(numpy.uint8)
