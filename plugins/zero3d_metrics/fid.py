"""Distances between two sets of features: Frechet's and the kernel's; features of a CLIP vision model.

On CLIP it is not the Inception FID of the literature; numbers compare only among themselves, and the key says so: fid_clip.
"""

from __future__ import annotations

from pathlib import Path

import numpy
import torch
from torch import Tensor

from zero3d import UserError
from zero3d.weights import CLIP_MEAN, CLIP_STD, without_bars


class ClipFeatures:
    """Pictures (B, H, W, 3) in [0, 1] -> features (B, D) of a CLIP vision tower."""

    def __init__(self, folder: Path, place: str = "--fid") -> None:
        """`folder`: a transformers CLIPVisionModelWithProjection (config.json, model.safetensors). `place`: errors begin so.

        Raises:
            UserError: it cannot be loaded.
        """
        from transformers import CLIPVisionModelWithProjection

        try:
            with without_bars():
                self._model = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError) as error:
            raise UserError(f"{place} {folder}: no CLIP vision folder ({str(error).splitlines()[0]})") from None
        self._size = self._model.config.image_size

    @torch.no_grad()
    def __call__(self, image: Tensor) -> Tensor:
        planes = image.permute(0, 3, 1, 2)
        size = (self._size, self._size)
        planes = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)
        mean = torch.tensor(CLIP_MEAN)[:, None, None]
        std = torch.tensor(CLIP_STD)[:, None, None]
        features: Tensor = self._model(pixel_values=(planes - mean) / std).image_embeds
        return features


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)) of Gaussians fitted to (N, D) features (Heusel et al. 2017).

    With C = X^T X for centred X / sqrt(N - 1), the last trace is the sum of the singular values of X_a X_b^T: exact
    also where N < D makes the covariances singular, where a matrix square root is not. A single picture has none.
    """
    x, y = a.double().numpy(), b.double().numpy()
    gap = x.mean(axis=0) - y.mean(axis=0)
    x, y = ((v - v.mean(axis=0)) / numpy.sqrt(max(len(v) - 1, 1)) for v in (x, y))
    if min(len(x), len(y)) > x.shape[1]:  # the smaller of two matrices with the same singular values
        x, y = (numpy.asarray(numpy.linalg.qr(v, mode="r")) for v in (x, y))
    shared = numpy.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(gap @ gap + (x**2).sum() + (y**2).sum() - 2 * shared)


def kernel_distance(a: Tensor, b: Tensor, subset: int = 0, subsets: int = 100, seed: int = 0) -> float:
    """KID (Binkowski et al. 2018): unbiased squared MMD, kernel (x . y / D + 1)^3, of (N, D) and (M, D) features.

    It may be below 0. subset: 0 for all pictures at once; else the mean over `subsets` random choices of so many of each
    (torch-fidelity and clean-fid: 100 of 1,000), or of as many as the smaller set has.

    Raises:
        UserError: fewer than two pictures in a set.
    """
    x, y = a.double().numpy(), b.double().numpy()
    if min(len(x), len(y)) < 2:
        raise UserError(f"kid: sets of {len(x)} and {len(y)} pictures; two of each at least")
    if not subset:
        return _mmd(x, y)
    count, draw = min(subset, len(x), len(y)), numpy.random.default_rng(seed)
    drawn = [[v[draw.choice(len(v), count, replace=False)] for v in (x, y)] for _ in range(subsets)]
    return float(numpy.mean([_mmd(*pair) for pair in drawn]))


def _mmd(x: numpy.ndarray, y: numpy.ndarray) -> float:
    def within(v: numpy.ndarray) -> float:
        kernel = (v @ v.T / v.shape[1] + 1) ** 3
        return float((kernel.sum() - numpy.trace(kernel)) / (len(v) * (len(v) - 1)))

    return within(x) + within(y) - 2 * float(((x @ y.T / x.shape[1] + 1) ** 3).mean())
