"""Compositing in plain PyTorch, every Gaussian at every pixel: the reference for what draws fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zero3d_gaussians.drawing.projection import Ellipses

MOST_ALPHA = 0.999
"""No Gaussian hides more of what lies behind it (gsplat 1.5; 0.99 in 1.6)."""
LEAST_ALPHA = 1 / 255
"""Less is passed over."""
LEAST_LIGHT = 1e-4
"""A ray ends before the Gaussian that would leave no more of its light."""


def composite(
    ellipses: Ellipses, features: Tensor, height: int, width: int, absolute: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Front to back. features (B, N, F) -> their sums (B, H, W, F) by weight, and the opacity (B, H, W, 1).

    absolute: a leaf of zeros like the centres (B, N, 2); its gradient becomes the sum, over the pixels, of the absolute
    values of what each pixel adds to the gradient of the centres (AbsGS, arXiv 2404.10484).
    """
    pictures = [
        _picture(
            ellipses.means[view],
            ellipses.conics[view],
            ellipses.opacities[view],
            ellipses.z[view],
            ellipses.visible[view],
            features[view],
            height,
            width,
            None if absolute is None else absolute[view],
        )
        for view in range(len(features))
    ]
    return torch.stack([sums for sums, _ in pictures]), torch.stack([opacity for _, opacity in pictures])


class _Absolute(torch.autograd.Function):
    """The first (P, N) as it is; the second (N,) gets the sum of its absolute gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, absolute: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, told: Tensor) -> tuple[Tensor, Tensor]:
        return told, told.abs().sum(dim=0)


def _picture(
    means: Tensor,
    conics: Tensor,
    opacities: Tensor,
    z: Tensor,
    visible: Tensor,
    features: Tensor,
    height: int,
    width: int,
    absolute: Tensor | None,
) -> tuple[Tensor, Tensor]:
    seen = visible.nonzero()[:, 0]
    order = seen[z.detach()[seen].argsort(stable=True)]
    means, conics, opacities, features = (part[order] for part in (means, conics, opacities, features))
    down, across = (torch.arange(side, device=means.device).to(means) + 0.5 for side in (height, width))
    rows, columns = torch.meshgrid(down, across, indexing="ij")
    x, y = columns.reshape(-1, 1) - means[:, 0], rows.reshape(-1, 1) - means[:, 1]
    if absolute is not None:
        x, y = (_Absolute.apply(part, absolute[order, axis]) for axis, part in enumerate((x, y)))  # type: ignore[no-untyped-call]
    power = -0.5 * (conics[:, 0] * x * x + conics[:, 2] * y * y) - conics[:, 1] * x * y
    alpha = (opacities * power.exp()).clamp(max=MOST_ALPHA)
    alpha = torch.where(alpha < LEAST_ALPHA, torch.zeros_like(alpha), alpha)
    left = (1 - alpha).cumprod(dim=1)
    before = torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], dim=1)
    weights = torch.where(left > LEAST_LIGHT, alpha * before, torch.zeros_like(alpha))
    sums, opacity = weights @ features, weights.sum(dim=1, keepdim=True)
    return sums.reshape(height, width, -1), opacity.reshape(height, width, 1)
