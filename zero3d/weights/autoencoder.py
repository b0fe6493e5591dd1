"""The latent space of Stable Diffusion and its kin: their VAE, whatever library it is of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

VAE_SCALE = 0.18215
"""Stable Diffusion's up to 2.1, and of what was trained on its latents: it gives them unit variance."""


def planes(image: Tensor) -> Tensor:
    """(B, H, W, C) -> (B, C, H, W), laid out so: PyTorch's group norm on a CPU loses the variance of flat pictures in the
    other layout."""
    return image.permute(0, 3, 1, 2).contiguous()


class Autoencoder:
    """RGB <-> scaled latent by a frozen VAE of diffusers' interface (`encode(x).latent_dist.mode()`, `decode(z).sample`)."""

    def __init__(self, vae: Any, scale: float = VAE_SCALE, sliced: bool = False) -> None:
        """`scale`: the latent's, to unit variance. `sliced`: one picture at a time, and in the backward pass each one's
        activations computed again, so that no more than one picture's are ever held.
        """
        self.vae, self.scale, self.sliced = vae, scale, sliced

    def encode(self, image: Tensor) -> Tensor:
        """RGB (B, H, W, 3) in [0, 1] -> the posterior's mode, scaled, (B, H / 8, W / 8, 4). Differentiable."""
        return self._each(lambda x: self.scale * self.vae.encode(2 * x - 1).latent_dist.mode(), image)

    def decode(self, latent: Tensor) -> Tensor:
        """(B, h, w, 4) -> RGB (B, 8 h, 8 w, 3), about [0, 1]. Differentiable."""
        return self._each(lambda z: (self.vae.decode(z / self.scale).sample + 1) / 2, latent)

    @torch.no_grad()
    def white(self, side: int) -> Tensor:
        """A white picture of `side` pixels, encoded: (side / 8, side / 8, 4)."""
        return self.encode(torch.ones(1, side, side, 3, device=next(self.vae.parameters()).device))[0]

    def _each(self, work: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        dtype = next(self.vae.parameters()).dtype
        given = planes(image).to(dtype)
        if self.sliced and len(given) > 1:
            rows = [checkpoint(work, row, use_reentrant=False) for row in given[:, None]]
            made = torch.cat(rows)
        else:
            made = work(given)
        return made.to(image.dtype).permute(0, 2, 3, 1)
