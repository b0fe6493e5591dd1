"""The conditioning vector of each frame's camera, and the noise levels."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sinusoids(values: Tensor, width: int) -> Tensor:
    """(n,) -> (n, width): cosines, then sines, of the values times 10000^(-k / (width / 2))."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float64) / half)
    angles = values.double()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()


def camera_vector(polar: Tensor, azimuth: Tensor, augmentation: float = 1e-5) -> Tensor:
    """Of each frame, (n, 1280): the noise on the picture (256), polar angle and azimuth in radians (512 each)."""
    noise = torch.full_like(polar, augmentation)
    return torch.cat([sinusoids(noise, 256), sinusoids(polar, 512), sinusoids(azimuth, 512)], dim=1)


def edm_sigmas(count: int, lowest: float, highest: float, rho: float = 7.0) -> Tensor:
    """`count` levels from `highest` down to `lowest`, float64, even in sigma^(1 / rho) (EDM, arXiv 2206.00364, eq. 5)."""
    share = torch.linspace(0, 1, count, dtype=torch.float64)
    top, bottom = highest ** (1 / rho), lowest ** (1 / rho)
    levels: Tensor = (top + share * (bottom - top)) ** rho
    return levels
