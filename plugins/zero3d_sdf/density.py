"""From signed distance to density: how a surface is made soft enough to be seen by rays beside it."""

from __future__ import annotations

import torch
from torch import Tensor

KINDS = ("volsdf", "neus")


def density_of(distance: Tensor, width: Tensor, kind: str) -> Tensor:
    """Density per world unit of signed distances (below 0 inside), `width` a length: 1 / (2 width) on the surface.

    volsdf: the Laplace distribution's, Psi(-d) / width with Psi(s) = exp(s / width) / 2 below 0 and 1 - exp(-s / width) / 2
    above (arXiv 2106.12052, eq. 2 and 3, alpha = 1 / beta). neus: sigmoid(-d / width) / width, NeuS's opaque density
    -(d Phi / d t) / Phi (arXiv 2106.10689, eq. 10) of a ray that meets the surface at a right angle,
    Phi = sigmoid(d / width): a field's density knows no ray.
    """
    scaled = distance / width
    if kind == "neus":
        return torch.sigmoid(-scaled) / width
    return (0.5 + 0.5 * scaled.sign() * torch.expm1(-scaled.abs())) / width
