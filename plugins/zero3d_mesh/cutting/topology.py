"""Of how many pieces a thing is, and how many holes a view of it shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import scipy

from zero3d.interfaces import ExportSubject

SPECK = 0.002
"""Pieces and holes of a silhouette below this share of its pixels, or of fewer than four, do not count."""


@dataclass(frozen=True)
class Silhouette:
    """What a view shows: connected `pieces` (pixels that touch at a corner are one) and `holes` in them."""

    pieces: int
    holes: int

    def apart(self, other: Silhouette) -> int:
        """How many pieces and holes one has and the other lacks."""
        return abs(self.pieces - other.pieces) + abs(self.holes - other.holes)

    def __str__(self) -> str:
        counts = ((self.pieces, "piece"), (self.holes, "hole"))
        return " and ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)


def silhouette(mask: numpy.ndarray) -> Silhouette:
    """Count in a boolean (H, W)."""
    least = max(4.0, SPECK * float(mask.sum()))
    around = numpy.pad(mask, 1)
    pieces, _ = scipy.ndimage.label(around, numpy.ones((3, 3)))
    gaps, _ = scipy.ndimage.label(~around)
    # the gap around everything, in the corner, is no hole
    holes = numpy.bincount(gaps[gaps > 0]) >= least
    holes[gaps[0, 0]] = False
    return Silhouette(int((numpy.bincount(pieces[pieces > 0]) >= least).sum()), int(holes.sum()))


def pictured(subject: ExportSubject, size: int) -> tuple[numpy.ndarray, Silhouette]:
    """The object's pixels at the input camera, (size, size) boolean: the picture's, or else the field's; and its count.

    It is counted at the picture's own size, or at `size` if that is less: what is blown up grows no holes.
    """
    if subject.picture is None:
        opacity = subject.draw(subject.input_camera.to("cpu").resized(size, size)).opacity
        mask = (opacity[0, ..., 0].cpu() > 0.5).numpy()
        return mask, silhouette(mask)
    small = min(size, subject.picture.mask.shape[0])
    masks = [subject.picture.resized(side, side).mask[..., 0].cpu() > 0.5 for side in (size, small)]
    return masks[0].numpy(), silhouette(masks[1].numpy())


def solids(solid: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Which connected piece each sample belongs to (0: none), and how many samples each has, from piece 1 on."""
    pieces, count = scipy.ndimage.label(solid)
    return pieces, numpy.bincount(pieces.ravel(), minlength=count + 1)[1:]
