"""PixelDenoiser: what denoisers over plain pixels share."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zero3d.diffusion import stable_diffusion_sigmas
from zero3d.interfaces.teachers.denoiser import Denoiser


class PixelDenoiser(Denoiser):
    """A denoiser whose image space is RGB in [0, 1]: encode and decode are the identity, white is 1.

    Noise levels are Stable Diffusion's, halved: its data span [-1, 1], ours half of that. White counts as zero, because
    most of a picture is white.
    """

    channels = 3
    unit = 0.5
    centre = 1.0

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.sigmas = self.unit * stable_diffusion_sigmas()

    def encode(self, image: Tensor) -> Tensor:
        return image

    def decode(self, latent: Tensor) -> Tensor:
        return latent

    def background(self) -> Tensor:
        return torch.ones(3)
