"""What a mask may have wrong with it that a glance at the picture does not show."""

from __future__ import annotations

import numpy
import scipy

SIDE = 512
"""Masks are judged at about this many pixels a side."""
BORDER_SHARE, LEFT_OUT_SHARE = 0.5, 0.01
"""Inverted: covers more than this of the picture's border, and leaves out at least this of the picture."""
SOFT = (8, 247)
"""Alpha between these is half-transparent."""
SOFT_SHARE = 0.02
"""Half-transparent pixels that are no edge, as a share of the object."""
EDGE = 0.01
"""How wide an edge is on either side, as a share of the object's longest side; at least two pixels."""
PIECE_SHARE = 0.1
"""Pieces of at least this share of the largest are large."""
THIN, THIN_SHARE = 1 / 40, 0.5
"""Thinner than this share of the object's longest side is thin; an object of which this share is thin is one of wires."""


def mask_notes(alpha: numpy.ndarray) -> list[str]:
    """(H, W) uint8 with something above one half -> a line for each of: inverted, half-transparent regions, several
    large pieces, nothing but thin parts."""
    if inverted(alpha):
        return [
            "WARNING: the mask covers the picture's border and leaves out its middle: is it inverted? The object is white"
        ]
    alpha = _coarse(alpha)
    body = alpha > 127
    if not body.any():
        return []
    found = scipy.ndimage.find_objects(body.astype(numpy.uint8))[0]
    longest = max(side.stop - side.start for side in found)
    edge = max(2, round(EDGE * longest))
    return [note for note in (_soft(alpha, body, edge), _pieces(body, edge), _thin(body, longest)) if note]


def _coarse(alpha: numpy.ndarray) -> numpy.ndarray:
    step = max(1, max(alpha.shape) // SIDE)
    return alpha[::step, ::step]


def inverted(alpha: numpy.ndarray) -> bool:
    """Whether the border is object, and what is left out lies nearer the middle than the object does."""
    body = _coarse(alpha) > 127
    border = numpy.concatenate([body[0], body[-1], body[:, 0], body[:, -1]])
    if border.mean() <= BORDER_SHARE or (~body).mean() < LEFT_OUT_SHARE:
        return False
    y, x = ((numpy.arange(side) + 0.5) / side - 0.5 for side in body.shape)
    away = numpy.hypot(y[:, None], x[None])
    return bool(away[body].mean() > away[~body].mean())


def _soft(alpha: numpy.ndarray, body: numpy.ndarray, edge: int) -> str | None:
    soft = (alpha >= SOFT[0]) & (alpha <= SOFT[1])
    inside = scipy.ndimage.minimum_filter(soft.astype(numpy.uint8), 2 * edge + 1, mode="nearest")
    if inside.sum() <= SOFT_SHARE * body.sum():
        return None
    return (
        f"{soft.mean():.0%} of the picture is half-transparent, more than edges are (a shadow, glass, haze?): "
        "it becomes half an object; make alpha 0 or 255 there"
    )


def _pieces(body: numpy.ndarray, edge: int) -> str | None:
    """Pieces that are an edge's width apart are one: thin parts may be torn by their soft edges."""
    grown = scipy.ndimage.maximum_filter(body.astype(numpy.uint8), 2 * edge + 1)
    pieces, count = scipy.ndimage.label(grown, numpy.ones((3, 3)))
    if count < 2:
        return None
    sizes = numpy.sort(numpy.bincount(pieces[body], minlength=2)[1:])[::-1]
    large = sizes[sizes >= PIECE_SHARE * sizes[0]]
    if len(large) < 2:
        return None
    shares = ", ".join(f"{size / sizes.sum():.0%}" for size in large[:4]) + (", ..." if len(large) > 4 else "")
    return f"the mask has {len(large)} large pieces ({shares}), modelled as one object; mask out what is not it"


def _thin(body: numpy.ndarray, longest: int) -> str | None:
    """By a morphological opening with a disc, from distances."""
    radius = THIN * longest / 2
    thick = scipy.ndimage.distance_transform_edt(numpy.pad(body, 1))[1:-1, 1:-1] > radius
    kept = scipy.ndimage.distance_transform_edt(~thick) <= radius if thick.any() else thick
    thin = 1 - (kept & body).sum() / body.sum()
    if thin <= THIN_SHARE:
        return None
    return (
        f"{thin:.0%} of the object is thinner than a {round(1 / THIN)}th of its longest side, about one cell of a coarse "
        "field: wires may break or vanish"
    )
