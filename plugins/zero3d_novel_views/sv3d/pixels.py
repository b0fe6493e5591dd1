"""The picture as the vision tower of Stable Video Diffusion and SV3D wants it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.weights import CLIP_MEAN, CLIP_STD


def clip_pixels(picture: Tensor, size: int) -> Tensor:
    """(B, 3, H, H) in [0, 1] -> (B, 3, size, size): blurred, sampled bicubically corner to corner, normalised, not clamped.

    As kornia's resize with antialias: a Gaussian of (H / size - 1) / 2 pixels, cut off at two of them, borders reflected.
    """
    spread = max((picture.shape[-1] / size - 1) / 2, 0.001)
    half = int(max(4 * spread, 3)) // 2
    offsets = torch.arange(-half, half + 1).to(picture)
    weights = torch.exp(-(offsets**2) / (2 * spread**2))
    weights = (weights / weights.sum()).expand(picture.shape[1], 1, 1, -1)
    blurred = functional.pad(2 * picture - 1, (half, half, half, half), mode="reflect")
    for kernel in (weights, weights.mT):
        blurred = functional.conv2d(blurred, kernel, groups=picture.shape[1])
    small = functional.interpolate(blurred, (size, size), mode="bicubic", align_corners=True)
    mean, std = (picture.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((small + 1) / 2 - mean) / std
