"""The lift: from one picture with its mask to a solid with colours, in the frustum of the camera that took it.

Every pixel of the output holds the column of cells behind it, in depth bins around the object's centre, so the network is
two-dimensional and its answer is aligned with the picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.values import Cameras
from zero3d_zero123.nano.blocks import Attention, ResidualBlock, picture, sinusoids, tokens

PICTURE = 64
"""Side of the picture, pixels."""
DEPTH_BINS = 32
HALF_DEPTH = 0.85
"""The bins span the camera's distance from the origin +- this, world units, along the viewing axis."""
BOX = 0.75
"""Half-side of the cube outside which there is nothing."""
BIN = 2 * HALF_DEPTH / DEPTH_BINS


@dataclass
class Lifted:
    """What the lift says: `volume` (B, 4, D, H, W) of logits (solid, R, G, B), its picture `tokens` (B, 64, C), the camera."""

    volume: Tensor
    tokens: Tensor
    cameras: Cameras


class Lift(nn.Module):
    """RGBA (B, 4, 64, 64), colours on white, and the camera -> Lifted."""

    widths = (64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        a, b, c = self.widths
        e = 128
        self.embed = nn.Sequential(nn.Linear(2 * 8, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU())
        self.stem = nn.Conv2d(4 * (4 + 2), a, 3, padding=1)
        self.enc1 = ResidualBlock(a, a, e)
        self.down2 = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.enc2 = ResidualBlock(b, b, e)
        self.down3 = nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.enc3 = ResidualBlock(c, c, e)
        self.position = nn.Parameter(0.02 * torch.randn(1, 64, c))
        self.middle = nn.ModuleList([Attention(c, 8) for _ in range(4)])
        self.up2 = nn.Conv2d(c, b, 1)
        self.dec2 = ResidualBlock(2 * b, b, e)
        self.up1 = nn.Conv2d(b, a, 1)
        self.dec1 = ResidualBlock(2 * a, 2 * a, e)
        self.out = nn.Conv2d(2 * a, 4 * 4 * DEPTH_BINS, 1)

    def forward(self, rgba: Tensor, cameras: Cameras) -> Lifted:
        elevation, distance = cameras.elevation.to(rgba), cameras.distance.to(rgba)
        e = self.embed(sinusoids(torch.stack([elevation, distance - 2], dim=-1), 8))
        x1 = self.stem(functional.pixel_unshuffle(torch.cat([rgba, _places(rgba)], dim=1), 2))
        x1 = self.enc1(x1, e)
        x2 = self.enc2(self.down2(x1), e)
        x3 = tokens(self.enc3(self.down3(x2), e)) + self.position
        for block in self.middle:
            x3 = block(x3)
        y = functional.interpolate(self.up2(picture(x3, 8)), scale_factor=2.0)
        y = self.dec2(torch.cat([y, x2], dim=1), e)
        y = functional.interpolate(self.up1(y), scale_factor=2.0)
        y = self.out(functional.silu(self.dec1(torch.cat([y, x1], dim=1), e)))
        volume = functional.pixel_shuffle(y, 2).float().reshape(-1, 4, DEPTH_BINS, PICTURE, PICTURE)
        # what lies behind a pixel has the pixel's colour, unless the network says otherwise
        seen = torch.logit(rgba[:, :3].float(), eps=0.02)[:, :, None]
        return Lifted(torch.cat([volume[:, :1], volume[:, 1:] + seen], dim=1), x3, cameras)


def _places(like: Tensor) -> Tensor:
    """Pixel coordinates in [-1, 1], (B, 2, H, W)."""
    axis = torch.linspace(-1, 1, like.shape[-1], device=like.device, dtype=like.dtype)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y]).expand(like.shape[0], -1, -1, -1)


def frustum_coordinates(points: Tensor, cameras: Cameras) -> Tensor:
    """World points (B, N, 3) -> coordinates in the B cameras' volumes, in [-1, 1] as grid_sample wants them."""
    pose = cameras.camera_to_world.to(points)
    local = torch.einsum("bij,bni->bnj", pose[:, :3, :3], points - pose[:, None, :3, 3])
    ahead = -local[..., 2].clamp(max=-1e-3)
    half = math.tan(cameras.fov / 2)
    depth = (ahead - cameras.distance.to(points)[:, None]) / HALF_DEPTH
    return torch.stack([local[..., 0] / (ahead * half), -local[..., 1] / (ahead * half), depth], dim=-1)


def cell_centres(cameras: Cameras, pixels: Tensor) -> Tensor:
    """World positions of the cells behind some pixels (K,) (indices into H * W), (B, D * K, 3), bin by bin.

    The inverse of `frustum_coordinates`.
    """
    pose = cameras.camera_to_world
    x = (pixels % PICTURE + 0.5) / PICTURE * 2 - 1
    y = (torch.div(pixels, PICTURE, rounding_mode="floor") + 0.5) / PICTURE * 2 - 1
    bins = (torch.arange(DEPTH_BINS) + 0.5) / DEPTH_BINS * 2 - 1
    ahead = (bins * HALF_DEPTH)[None, :, None] + cameras.distance[:, None, None]
    half = math.tan(cameras.fov / 2)
    across, down = (half * ahead * axis for axis in (x, y))
    local = torch.stack([across, -down, -ahead.expand_as(across)], dim=-1).flatten(1, 2)
    return torch.einsum("bij,bnj->bni", pose[:, :3, :3], local) + pose[:, None, :3, 3]
