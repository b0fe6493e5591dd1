"""GrabCut (OpenCV), in a process of its own: it may not come to an end, and while it runs it hears no Ctrl-C."""

from __future__ import annotations

import importlib.util

import numpy
from PIL import Image

from zero3d import PictureError
from zero3d_pictures.apart import Endless, answer
from zero3d_pictures.masking import cleaned

SIDE = 480
"""GrabCut's time grows with the pixels; it decides at this size."""
LIMIT_S = 30
"""Seconds; a picture of SIDE pixels takes about one."""
GRAIN = 2
"""Noise added to each channel, of 255. Without any, colour clusters of one colour have no spread, and the weights of
OpenCV's cut then differ by less than its floats can tell: on some pictures it goes round for ever."""


def available() -> bool:
    """Whether OpenCV is installed."""
    return importlib.util.find_spec("cv2") is not None


def grabcut(rgb: numpy.ndarray) -> numpy.ndarray | None:
    """(H, W, 3) uint8 -> (H, W) uint8 mask by GrabCut from a centred rectangle (OpenCV), or None if it finds nothing.

    The same picture gives the same mask. Ctrl-C ends it, and so does LIMIT_S.

    Raises:
        PictureError: OpenCV is not installed, or it came to no end.
    """
    if not available():
        raise PictureError("input.mask: grabcut needs OpenCV: pip install 'zero3d[grabcut]'")
    height, width = rgb.shape[:2]
    scale = min(1.0, SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = numpy.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BOX)).astype(numpy.int16)
    small += numpy.random.default_rng(0).integers(-GRAIN, GRAIN + 1, small.shape, dtype=numpy.int16)
    labels = _in_a_process(small.clip(0, 255).astype(numpy.uint8))
    if labels is None:
        return None
    found = Image.fromarray((labels & 1).astype(numpy.float32))  # GC_FGD 1 and GC_PR_FGD 3 against 0 and 2
    return cleaned(numpy.asarray(found.resize((width, height), Image.Resampling.BILINEAR)) > 0.5)


def _in_a_process(rgb: numpy.ndarray) -> numpy.ndarray | None:
    """GrabCut's labels (H, W) uint8, or None where it gave up."""
    try:
        labels = answer("grabcut", rgb.shape[:2], rgb.tobytes(), LIMIT_S)
    except Endless:
        raise PictureError(f"input.mask: grabcut came to no end in {LIMIT_S} s; give input.mask=FILE") from None
    except OSError as error:
        raise PictureError(f"input.mask: grabcut cannot be started ({error}); give input.mask=FILE") from None
    return None if labels is None else numpy.frombuffer(labels, numpy.uint8).reshape(rgb.shape[:2])
