"""Frechet distance between two sets of pictures, on features of a CLIP vision model that the user points to.

It is not the Inception FID of the literature (whose weights no library here brings); numbers compare only among
themselves, and the key says so: fid_clip.
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

    def __init__(self, folder: Path) -> None:
        """`folder`: a transformers CLIPVisionModelWithProjection (config.json, model.safetensors).

        Raises:
            UserError: it cannot be loaded.
        """
        from transformers import CLIPVisionModelWithProjection

        try:
            with without_bars():
                self._model = CLIPVisionModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError) as error:
            raise UserError(f"--fid {folder}: no CLIP vision folder ({str(error).splitlines()[0]})") from None
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
