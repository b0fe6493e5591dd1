"""Nano's denoiser: a small U-Net that cleans a noisy view, shown what the lifted solid looks like from there."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d_zero123.nano.blocks import Attention, ResidualBlock, picture, sinusoids, tokens

DATA_STD = 0.15
"""Typical distance (per channel) between a view and the lift's drawing of it: EDM's sigma_data of what is left to do."""
UNDRAWN = 0.8
"""What stands in for the drawing in the null branch: the mean pixel of a small object on white."""
TOKEN_WIDTH = 256
DRAWN = 5
"""Channels of a drawing: RGB on white, opacity, depth."""


class UNet(nn.Module):
    """D(z, sigma): noisy RGB (B, 3, 64, 64) in [0, 1] units plus sigma * noise -> x0, by EDM's preconditioning.

    With the drawing as centre m: D = m + c_skip (z - m) + c_out F(c_in (z - m), ...), s = DATA_STD,
    c_skip = s^2 / (s^2 + sigma^2), c_out = s sigma / sqrt(s^2 + sigma^2), c_in = 1 / sqrt(s^2 + sigma^2)
    (Karras et al. 2022, arXiv 2206.00364, table 1).
    """

    widths = (64, 96, 128)

    def __init__(self) -> None:
        super().__init__()
        a, b, c = self.widths
        e = 192
        self.embed = nn.Sequential(nn.Linear(12 + 4, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU())
        self.stem = nn.Conv2d(4 * (3 + DRAWN + 1), a, 3, padding=1)
        self.enc1 = ResidualBlock(a, a, e)
        self.down2 = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.enc2 = ResidualBlock(b, b, e)
        self.down3 = nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.enc3 = ResidualBlock(c, c, e)
        self.look = Attention(c, 4, TOKEN_WIDTH)
        self.think = Attention(c, 4)
        self.up2 = nn.Conv2d(c, b, 1)
        self.dec2 = ResidualBlock(2 * b, b, e)
        self.up1 = nn.Conv2d(b, a, 1)
        self.dec1 = ResidualBlock(2 * a, a, e)
        self.out = nn.Conv2d(a, 4 * 3, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, noised: Tensor, sigma: Tensor, drawn: Tensor, seen: Tensor, pose: Tensor, given: Tensor) -> Tensor:
        """x0 (B, 3, 64, 64).

        Args:
            sigma: (B,). drawn: (B, 5, 64, 64) from the lift. seen: (B, 64, 256), the lift's tokens of the picture.
            pose: (B, 4), Zero-1-to-3's T. given: (B,) 1 or 0: the null branch zeroes drawing, tokens and pose alike.
        """
        gate = given[:, None, None, None]
        drawn, seen, pose = drawn * gate, seen * given[:, None, None], pose * given[:, None]
        centre = drawn[:, :3] + UNDRAWN * (1 - gate)
        s = sigma[:, None, None, None]
        norm = (DATA_STD**2 + s**2).sqrt()
        e = self.embed(torch.cat([sinusoids(sigma.log()[:, None] / 4, 12), pose], dim=-1))
        x = torch.cat([(noised - centre) / norm, drawn, gate.expand(-1, 1, *noised.shape[2:])], dim=1)
        x1 = self.enc1(self.stem(functional.pixel_unshuffle(x, 2)), e)
        x2 = self.enc2(self.down2(x1), e)
        x3 = self.enc3(self.down3(x2), e)
        x3 = picture(self.think(self.look(tokens(x3), seen)), 8)
        y = functional.interpolate(self.up2(x3), scale_factor=2.0)
        y = self.dec2(torch.cat([y, x2], dim=1), e)
        y = functional.interpolate(self.up1(y), scale_factor=2.0)
        y = functional.pixel_shuffle(self.out(functional.silu(self.dec1(torch.cat([y, x1], dim=1), e))), 2).float()
        return centre + DATA_STD**2 / norm**2 * (noised - centre) + DATA_STD * s / norm * y
