"""A picture and its points as the network takes them: normalised, cropped around the object, squared, resampled."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zero3d import UserError
from zero3d_mcc.network.model import XYZ_SIDE, network_rgb

MARGIN = 40
"""Pixels left around the mask's bounding box."""
PICTURE_SIDE = 800
"""The published code resamples the picture to this first."""
FEWEST = 16
"""Pixels of the object whose place is known."""


@dataclass(frozen=True)
class Prepared:
    """rgb (1, 3, 800, 800) in [0, 1]; xyz (1, 112, 112, 3), normalised, inf or nan where unknown; valid (1, 112, 112).

    A point p of the input is p / scale - middle here.
    """

    rgb: Tensor
    xyz: Tensor
    valid: Tensor
    scale: Tensor
    middle: Tensor

    def network_input(self) -> tuple[Tensor, Tensor, Tensor]:
        """Arguments of `Mcc.encode`."""
        return network_rgb(self.rgb), self.xyz, self.valid


def prepare(rgb: Tensor, points: Tensor, mask: Tensor) -> Prepared:
    """rgb (H, W, 3) in [0, 1], points (H, W, 3), not finite where unknown; mask (H, W) bool, the object's pixels.

    The scale is the mean over axes of the standard deviation (n - 1), the middle the mean of the scaled points. A sample of
    the point map that touches an unknown pixel is unknown, as inf has it.

    Raises:
        UserError: the points of too few pixels are known, or all are in one place.
    """
    known = mask & points.isfinite().all(dim=-1)
    if int(known.sum()) < FEWEST:
        raise UserError(
            f"start: the depth of {int(known.sum())} of the object's pixels is known, {FEWEST} are needed; does the file "
            "show this picture, and does the mask cover the object?"
        )
    found = points[known]
    scale = found.std(dim=0).mean()
    if not float(scale) > 0:
        raise UserError("start: all points are in one place; give the object's depths")
    middle = (found / scale).mean(dim=0)
    points = torch.where(known[..., None], points / scale - middle, torch.inf)
    rows, columns = (mask.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    top, left = (max(int(axis[0]) - MARGIN, 0) for axis in (rows, columns))
    bottom, right = int(rows[-1]) + MARGIN + 1, int(columns[-1]) + MARGIN + 1
    rgb, points = (_squared(part[top:bottom, left:right], fill) for part, fill in ((rgb, 0.0), (points, torch.inf)))
    xyz = functional.interpolate(points, (XYZ_SIDE, XYZ_SIDE), mode="bilinear", align_corners=False).permute(0, 2, 3, 1)
    valid = xyz.isfinite().all(dim=-1)
    if not bool(valid.any()):
        raise UserError("start: the object is too small, or its depth too full of holes, for 112 x 112 points")
    rgb = functional.interpolate(rgb, (PICTURE_SIDE, PICTURE_SIDE), mode="bilinear", align_corners=False)
    return Prepared(rgb, xyz, valid, scale, middle)


def _squared(image: Tensor, fill: float) -> Tensor:
    """(H, W, C) -> (1, C, S, S), filled at the right or at the bottom."""
    height, width = image.shape[:2]
    side = max(height, width)
    return functional.pad(image.permute(2, 0, 1), (0, side - width, 0, side - height), value=fill)[None]
