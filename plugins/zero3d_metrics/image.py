"""PSNR and SSIM of pictures in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor


def psnr(image: Tensor, truth: Tensor) -> Tensor:
    """(B, H, W, C) each -> (B,) decibels, -10 log10 of the mean squared error; infinite for equal pictures."""
    return -10 * torch.log10((image - truth).square().flatten(1).mean(dim=1))


def ssim(image: Tensor, truth: Tensor) -> Tensor:
    """(B, H, W, C) each -> (B,) structural similarity (Wang et al. 2004): Gaussian window 11x11, sigma 1.5, range 1."""
    from skimage.metrics import structural_similarity

    scores = [
        structural_similarity(
            a, b, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for a, b in zip(image.double().numpy(), truth.double().numpy(), strict=True)
    ]
    return torch.tensor(scores)
