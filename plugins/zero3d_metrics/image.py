"""PSNR and SSIM of pictures in [0, 1]: the forms in use, inside masks too."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d import UserError

SSIM = {
    "wang": "Wang et al. 2004: Gaussian window 11x11, sigma 1.5, range 1, inside the borders",
    "torchmetrics": "torchmetrics' default: the same window, borders reflected, range of the pair (SyncDreamer)",
    "torchmetrics_range1": "torchmetrics with data_range=1: the same window, borders reflected",
    "skimage": "scikit-image's default: uniform window 7x7, sample covariance, range 1, inside the borders (EscherNet)",
}
"""The forms of SSIM in use. They differ by more than methods do: compare figures of one form alone."""
GAUSSIAN: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
WINDOWS = {"skimage": 7}
WINDOW = 11
"""Pixels a side of every other form's."""

QUANTISED = ("none", "round", "truncate")
OUTSIDE = ("ignored", "black", "white")
FILLS = {"black": 0.0, "white": 1.0}


def quantised(image: Tensor, how: str) -> Tensor:
    """In steps of 1/255, or as it is ("none").

    round: the nearest one. truncate: the next below, EscherNet's uint8(255 x).
    """
    if how == "none":
        return image
    levels = 255 * image
    return (levels.round() if how == "round" else (levels + 1e-4).floor()) / 255  # 255 (k / 255) may fall short of k


def filled(image: Tensor, masks: Tensor, value: float) -> Tensor:
    """(B, H, W, C) with one grey value where `masks` (B, H, W) is not set."""
    return torch.where(masks[..., None], image, torch.full((), value, dtype=image.dtype))


def check_masks(images: Tensor, truths: Tensor, masks: Tensor | None, who: str) -> None:
    """Raises UserError: pictures of two sizes, masks of another, or a mask without a pixel."""
    if images.shape != truths.shape:
        raise UserError(f"{who}: pictures of {tuple(images.shape)} and {tuple(truths.shape)}; bring them to one size")
    if masks is not None and masks.shape != images.shape[:3]:
        raise UserError(
            f"{who}: masks of {tuple(masks.shape)} for pictures of {tuple(images.shape[:3])}; bring them to one size"
        )
    if masks is not None and not bool(masks.flatten(1).any(dim=1).all()):
        raise UserError(f"{who}: a mask without a pixel has nothing to compare; leave that picture out")


def psnr(image: Tensor, truth: Tensor, masks: Tensor | None = None) -> Tensor:
    """(B, H, W, C) each -> (B,) decibels, -10 log10 of the mean squared error; infinite for equal pictures.

    masks: (B, H, W) bool; the mean is of these pixels.
    """
    errors = (image - truth).square().mean(dim=-1)
    if masks is None:
        return -10 * torch.log10(errors.flatten(1).mean(dim=1))
    return -10 * torch.log10((errors * masks).flatten(1).sum(dim=1) / masks.flatten(1).sum(dim=1))


def ssim(image: Tensor, truth: Tensor, form: str = "wang", masks: Tensor | None = None) -> Tensor:
    """(B, H, W, C) each -> (B,) structural similarity in one of the forms of `SSIM`.

    masks: (B, H, W) bool; the mean is of these pixels, of those that the form has a value for.

    Raises:
        UserError: a side is shorter than the window, or no pixel of a mask has a value.
    """
    window = WINDOWS.get(form, WINDOW)
    if min(image.shape[1:3]) < window:
        height, width = image.shape[1:3]
        raise UserError(f"ssim: pictures of {width}x{height} pixels; at least {window} a side for the form {form!r}")
    shown = [None] * len(image) if masks is None else list(masks.numpy())
    pairs = zip(image.double().numpy(), truth.double().numpy(), shown, strict=True)
    return torch.tensor([_ssim(a, b, form, mask) for a, b, mask in pairs], dtype=torch.float64)


def _ssim(a: numpy.ndarray, b: numpy.ndarray, form: str, mask: numpy.ndarray | None) -> float:
    from skimage.metrics import structural_similarity

    border = WINDOWS.get(form, WINDOW) // 2  # the window hangs over the edge there
    span = max(numpy.ptp(a), numpy.ptp(b), 1e-12) if form == "torchmetrics" else 1.0
    if form.startswith("torchmetrics"):
        around = ((border, border), (border, border), (0, 0))
        a, b = (numpy.pad(picture, around, mode="reflect") for picture in (a, b))
    elif mask is not None:
        mask = mask[border:-border, border:-border]
    kind = {} if form == "skimage" else GAUSSIAN
    _, whole = structural_similarity(a, b, channel_axis=-1, data_range=span, full=True, **kind)
    values = whole[border:-border, border:-border].mean(axis=-1)
    if mask is None:
        return float(values.mean())
    if not mask.any():
        raise UserError(f"ssim: a mask lies within {border} pixels of the edge, where the form {form!r} has no value")
    return float(values[mask].mean())
