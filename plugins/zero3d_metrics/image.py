"""PSNR and SSIM of pictures in [0, 1]."""

from __future__ import annotations

import numpy
import torch
from torch import Tensor

SSIM = {
    "wang": "Wang et al. 2004: Gaussian window 11x11, sigma 1.5, range 1, inside the borders",
    "torchmetrics": "torchmetrics' default: the same window, borders reflected, range of the pair (SyncDreamer)",
    "skimage": "scikit-image's default: uniform window 7x7, sample covariance, range 1, inside the borders (EscherNet)",
}
"""The forms of SSIM in use. They differ by more than methods do: compare figures of one form alone."""


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """(B, H, W, C) each -> (B,) decibels, -10 log10 of the mean squared error; infinite for equal pictures."""
    return -10 * torch.log10((image - truth).square().flatten(1).mean(dim=1))


def ssim(image: Tensor, truth: Tensor, form: str = "wang") -> Tensor:
    """(B, H, W, C) each, sides of the window's at least -> (B,) structural similarity in one of the forms of `SSIM`."""
    pairs = zip(image.double().numpy(), truth.double().numpy(), strict=True)
    return torch.tensor([_ssim(a, b, form) for a, b in pairs], dtype=torch.float64)


def _ssim(a: numpy.ndarray, b: numpy.ndarray, form: str) -> float:
    from skimage.metrics import structural_similarity

    if form == "skimage":
        return float(structural_similarity(a, b, channel_axis=-1, data_range=1.0))
    wang = {"channel_axis": -1, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    if form == "wang":
        return float(structural_similarity(a, b, data_range=1.0, **wang))
    around = ((5, 5), (5, 5), (0, 0))  # skimage leaves out the five pixels at each border that the window hangs over
    span = max(numpy.ptp(a), numpy.ptp(b), 1e-12)
    a, b = (numpy.pad(picture, around, mode="reflect") for picture in (a, b))
    return float(structural_similarity(a, b, data_range=span, **wang))
