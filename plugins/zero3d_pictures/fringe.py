"""The old background's colour in half-transparent edges, and its removal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import scipy

OPAQUE = 250
"""Alpha from here on is the object's own colour."""
EDGE_ALPHA = (26, 230)
"""Edge pixels that are looked at: mixed enough to tell."""
REACH = 9
"""Side, pixels, of the square in which an edge finds the object's colour."""
LEAST = 50
"""Fewer edge pixels tell nothing."""
CAST = 0.05
"""How far (of 1, root of the mean square) edges must be from the object's colour to be worth a word."""
UNEXPLAINED = 0.3
"""A background's colour explains the edges if no more than this of their squared distance is left."""
OUTLINE = 0.5
"""And no more than this of what one constant offset, an outline's, would leave."""


@dataclass(frozen=True)
class Fringe:
    """`colour` (3,) in [0, 1]: of the background that is mixed into the edges."""

    colour: numpy.ndarray

    def __str__(self) -> str:
        return "#{:02x}{:02x}{:02x}".format(*(round(255 * c) for c in self.colour))

    def removed(self, rgba: numpy.ndarray) -> numpy.ndarray:
        """The picture (H, W, 4) uint8 with each half-transparent colour C taken for a c + (1 - a) b, and c put there."""
        rgba = rgba.copy()
        mixed = (rgba[..., 3] > 0) & (rgba[..., 3] < 255)
        a = rgba[..., 3][mixed].astype(numpy.float32)[:, None] / 255
        own = (rgba[..., :3][mixed] / 255 - (1 - a) * self.colour.astype(numpy.float32)) / a
        rgba[mixed, :3] = numpy.round(255 * own.clip(0, 1))
        return rgba


def fringe(rgba: numpy.ndarray) -> Fringe | None:
    """The background in the edges of (H, W, 4) uint8, straight alpha; None where edges have the object's colours.

    An edge C = a c + (1 - a) b, with c from the opaque pixels about it, is solved for one b by least squares. It is told
    only where b leaves little of the edges' distance from c: outlines, textures and shading do not follow 1 - a.
    """
    alpha = rgba[..., 3]
    candidates = (alpha >= EDGE_ALPHA[0]) & (alpha <= EDGE_ALPHA[1])
    if candidates.sum() < LEAST:
        return None
    rows, columns = (slice(max(0, i.min() - REACH), i.max() + REACH + 1) for i in numpy.nonzero(candidates))
    rgba, alpha, candidates = rgba[rows, columns], alpha[rows, columns], candidates[rows, columns]
    solid = (alpha >= OPAQUE).astype(numpy.float32)
    near = scipy.ndimage.uniform_filter(solid, REACH, mode="constant")
    edge = candidates & (near > 0.5 / REACH**2)
    if edge.sum() < LEAST:
        return None
    inside = numpy.stack([_mean(rgba[..., c], solid)[edge] for c in range(3)], axis=-1) / near[edge][:, None]
    clear = 1 - alpha[edge][:, None] / numpy.float32(255)
    offset = rgba[..., :3][edge] / 255 - inside / 255  # C - c = (1 - a) (b - c)
    colour = ((offset + clear * inside / 255) * clear).sum(axis=0) / (clear**2).sum()
    colour = colour.clip(0, 1)
    before = (offset**2).mean()
    after = ((offset - clear * (colour - inside / 255)) ** 2).mean()
    outline = offset.var(axis=0).mean()  # one colour whatever a, as a drawn line has
    if before < CAST**2 or after > UNEXPLAINED * before or after > OUTLINE * outline:
        return None
    return Fringe(colour)


def _mean(channel: numpy.ndarray, solid: numpy.ndarray) -> numpy.ndarray:
    mean: numpy.ndarray = scipy.ndimage.uniform_filter(channel * solid, REACH, mode="constant")
    return mean
