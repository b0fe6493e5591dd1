"""The denoising U-Net: a noisy picture and the lifted solid drawn from the same camera -> the picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.diffusion import broadcast
from zero3d_zero123.nano.blocks import Attention, ResidualBlock, picture, sinusoids, tokens
from zero3d_zero123.nano.lift import TOKEN_WIDTH

DRAWN = 5
"""Channels of a drawing: RGB on white, opacity, depth."""
SPREAD = 0.12
"""Root mean square of (picture - drawing) in [0, 1] units: what is left for the network to find."""
SPREAD_NULL = 0.35
"""The same of (picture - white), for the null branch."""


class UNet(nn.Module):
    """Convolutions at 32x32, 16x16 and 8x8; at 8x8 attention to the lift's picture tokens.

    Preconditioned as EDM (Karras et al. 2022, arXiv 2206.00364, table 1), about the drawing instead of about 0.
    """

    widths = (32, 96, 160)

    def __init__(self) -> None:
        super().__init__()
        a, b, c = self.widths
        e = 128
        self.noise = nn.Sequential(nn.Linear(16, e), nn.SiLU(), nn.Linear(e, e))
        self.pose = nn.Sequential(nn.Linear(4 * 8, e), nn.SiLU(), nn.Linear(e, e))
        self.stem = nn.Conv2d(4 * (3 + DRAWN), a, 3, padding=1)
        self.enc1 = ResidualBlock(a, a, e)
        self.down2 = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.enc2 = ResidualBlock(b, b, e)
        self.down3 = nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.enc3 = ResidualBlock(c, c, e)
        self.across = Attention(c, 8, TOKEN_WIDTH)
        self.within = Attention(c, 8)
        self.up2 = nn.Conv2d(c, b, 1)
        self.dec2 = ResidualBlock(2 * b, b, e)
        self.up1 = nn.Conv2d(b, a, 1)
        self.dec1 = ResidualBlock(2 * a, a, e)
        self.norm = nn.GroupNorm(8, a)
        self.out = nn.Conv2d(a, 4 * 3, 3, padding=1)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(
        self, noised: Tensor, sigma: Tensor, drawn: Tensor, pose: Tensor, context: Tensor, keep: Tensor
    ) -> Tensor:
        """x0 (B, 3, 64, 64).

        Args:
            noised: (B, 3, 64, 64), x0 + sigma * n, pictures in [0, 1].
            sigma: (B,).
            drawn: (B, 5, 64, 64); see zero3d_zero123.nano.draw.
            pose: (B, 4), Zero-1-to-3's pose vector.
            context: (B, 64, TOKEN_WIDTH), the lift's picture tokens.
            keep: (B,), 1 to use the last three, 0 for the null branch, which sees zeros in their place.
        """
        kept = broadcast(keep, drawn)
        base, spread = 1 + kept * (drawn[:, :3] - 1), SPREAD_NULL + kept * (SPREAD - SPREAD_NULL)
        level = broadcast(sigma, noised)
        condition = torch.cat([drawn[:, :3] - 1, drawn[:, 3:]], dim=1) * kept
        variance = level**2 + spread**2
        scaled = (noised - base) / variance.sqrt()
        e = self.noise(sinusoids(sigma.log()[:, None] / 4, 16)) + keep[:, None] * self.pose(sinusoids(pose, 8))
        found = self._network(torch.cat([scaled, condition], dim=1), functional.silu(e), context * keep[:, None, None])
        # a Gaussian around the drawing has its posterior mean at base + skip * (noised - base); the network adds to it
        return base + spread**2 / variance * (noised - base) + level * spread / variance.sqrt() * found

    def _network(self, x: Tensor, e: Tensor, context: Tensor) -> Tensor:
        x1 = self.enc1(self.stem(functional.pixel_unshuffle(x, 2)), e)
        x2 = self.enc2(self.down2(x1), e)
        x3 = tokens(self.enc3(self.down3(x2), e))
        x3 = self.within(self.across(x3, context))
        y = functional.interpolate(self.up2(picture(x3, 8)), scale_factor=2.0)
        y = self.dec2(torch.cat([y, x2], dim=1), e)
        y = functional.interpolate(self.up1(y), scale_factor=2.0)
        y = self.dec1(torch.cat([y, x1], dim=1), e)
        return functional.pixel_shuffle(self.out(functional.silu(self.norm(y))), 2).float()


def output_scale(sigma: Tensor, keep: Tensor) -> Tensor:
    """(B,) how large the network's own share of x0 is; errors are weighted by its inverse square, as EDM's loss."""
    spread = SPREAD_NULL + keep * (SPREAD - SPREAD_NULL)
    return sigma * spread / (sigma**2 + spread**2).sqrt()
