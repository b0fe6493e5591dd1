"""From where the picture was taken: the azimuth at which the cloud's outline is the picture's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import project
from zero3d.values import PosedPicture
from zero3d_point_e.shape.result import turn_about_z

PIXELS = 64
COARSE = 4
"""Degrees between the azimuths that are tried first; then every degree around the best."""


def silhouette_azimuth(places: Tensor, posed: PosedPicture) -> tuple[float, float]:
    """The input camera's azimuth in the cloud's own axes, degrees, and the overlap (intersection over union) found there.

    The outline of the points (N, 3), seen from the picture's camera as the cloud turns, is scaled and moved onto the
    mask's bounding box, as the cloud's size tells nothing of how the picture was framed.
    """
    mask = posed.picture.resized(PIXELS, PIXELS).mask[..., 0] > 0.5
    if not bool(mask.any()):
        return 0.0, 0.0
    overlaps = {alpha: _overlap(places, posed, mask, alpha) for alpha in range(0, 360, COARSE)}
    best = max(overlaps, key=lambda alpha: overlaps[alpha])
    for alpha in range(best - COARSE + 1, best + COARSE):
        overlaps[alpha % 360] = _overlap(places, posed, mask, alpha)
    best = max(overlaps, key=lambda alpha: overlaps[alpha])
    return float(best), overlaps[best]


def _overlap(places: Tensor, posed: PosedPicture, mask: Tensor, alpha: float) -> float:
    camera = posed.camera
    beside = float(torch.rad2deg(camera.azimuth)) - alpha
    flat = project(places @ turn_about_z(beside, places).T, camera)[0][0]
    rows, columns = mask.nonzero().unbind(dim=1)
    seen = torch.stack([columns, rows], dim=-1).to(flat) + 0.5
    (low, high), (first, last) = (part.aminmax(dim=0) for part in (seen, flat))
    scale = (high - low + 1).max() / (last - first).max().clamp(min=1e-6)
    pixels = (flat - (first + last) / 2) * scale + (low + high) / 2
    drawn = mask.new_zeros(mask.shape)
    column, row = pixels.floor().long().clamp(0, PIXELS - 1).unbind(dim=-1)
    drawn[row, column] = True
    outline = _closed(drawn)
    return float((outline & mask).sum() / (outline | mask).sum().clamp(min=1))


def _closed(drawn: Tensor) -> Tensor:
    """Holes between the points filled, without growing: dilated by two pixels, then eroded."""
    wide = functional.max_pool2d(drawn[None, None].float(), 5, 1, 2)
    return (-functional.max_pool2d(-wide, 5, 1, 2))[0, 0] > 0.5
