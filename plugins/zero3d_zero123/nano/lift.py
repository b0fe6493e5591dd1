"""The lift: from one picture with its mask to a solid with colours on a grid, in the frame of the camera that took it.

Two paths meet in the grid: attention between picture tokens and volume queries guesses the whole, and each cell reads
the picture's features where it projects to, so that the solid stays aligned with what is seen. The grid is upright,
with the input camera at azimuth 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.values import Cameras, Subject
from zero3d_zero123.nano.blocks import Attention, ResidualBlock, ResidualBlock3d, picture, sinusoids, tokens

PICTURE = 64
"""Side of the picture, pixels."""
GRID = 32
"""Cells along a side of the volume."""
BOX = 0.75
"""Half-side of the cube that the volume fills, world units; outside there is nothing."""
CELL = 2 * BOX / GRID
TOKEN_WIDTH = 192
"""Channels of a picture token."""
BLOCKS = 16
"""Attention blocks, the cheapest place for weights on a CPU: a third of the lift's arithmetic is theirs."""
STRETCH, RAISE = 1.4, 0.5
"""Of the logits of what is solid: l becomes STRETCH * l + RAISE. Chosen on 100 validation objects (seeds from 2,000,000 on):
their pictures are drawn 0.08 dB better than with 1 and 0, and their silhouettes' IoU is 0.03 higher."""


@dataclass
class Lifted:
    """What the lift says: `volume` (B, 4, z, y, x) of logits (solid, R, G, B), `tokens` (B, 64, C) of the picture."""

    volume: Tensor
    tokens: Tensor
    cameras: Cameras


def _normal(deviation: float, *shape: int) -> nn.Parameter:
    """Random, but on the meta device, where a random number makes torch import its compiler."""
    values = torch.empty(shape)
    return nn.Parameter(values if values.is_meta else values.normal_().mul_(deviation))


class Lift(nn.Module):
    """RGBA (B, 4, 64, 64), colours on white, and the camera -> Lifted."""

    widths = (48, 96, TOKEN_WIDTH)

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
        self.position = _normal(0.02, 1, 64, c)
        self.queries = _normal(0.2, 1, 64, c)
        self.query_camera = nn.Linear(e, c)
        self.middle = nn.ModuleList([Attention(c, 6) for _ in range(BLOCKS)])
        self.up2 = nn.Conv2d(c, b, 1)
        self.dec2 = ResidualBlock(2 * b, b, e)
        self.coarse = nn.Conv2d(b, 32, 1)
        self.up1 = nn.Conv2d(b, a, 1)
        self.dec1 = ResidualBlock(2 * a, a, e)
        self.fine = nn.Conv2d(a, 4 * 16, 1)
        self.spread = nn.Linear(c, 48 * 8)
        self.deep = nn.Conv2d(c, 48, 1)
        self.solid8 = nn.Sequential(*(ResidualBlock3d(48) for _ in range(6)))
        self.solid8_up = nn.ConvTranspose3d(48, 32, 2, stride=2)
        self.solid16_in = nn.Conv3d(32 + 32 + 3, 32, 1)
        self.solid16 = nn.Sequential(*(ResidualBlock3d(32) for _ in range(2)))
        self.solid16_up = nn.ConvTranspose3d(32, 16, 2, stride=2)
        self.solid32 = nn.Conv3d(16, 16, 3, padding=1)
        self.refined32 = ResidualBlock3d(16)
        self.out = nn.Conv3d(16, 4, 1)
        assert self.out.bias is not None
        assert self.deep.bias is not None
        for start in (self.deep.weight, self.deep.bias, self.out.weight):
            nn.init.zeros_(start)
        nn.init.zeros_(self.out.bias)
        with torch.no_grad():
            self.out.bias[0] = -3.0  # few cells are solid

    def forward(self, rgba: Tensor, cameras: Cameras) -> Lifted:
        elevation, distance = cameras.elevation.to(rgba), cameras.distance.to(rgba)
        e = self.embed(sinusoids(torch.stack([elevation, distance - 2], dim=-1), 8))
        x1, x2, x3 = self.encode(rgba, e)
        seen, asked = self.attend(x3, e)
        y2 = self.dec2(torch.cat([functional.interpolate(self.up2(picture(seen, 8)), scale_factor=2.0), x2], dim=1), e)
        y1 = self.dec1(torch.cat([functional.interpolate(self.up1(y2), scale_factor=2.0), x1], dim=1), e)
        coarse = self.coarse(functional.silu(y2)).float()
        fine = functional.pixel_shuffle(self.fine(functional.silu(y1)), 2).float()
        deep = self.deep(picture(seen, 8)).float()
        volume = self._solid(asked, deep, coarse, fine, rgba, cameras)
        return Lifted(volume, seen, cameras)

    def encode(self, rgba: Tensor, e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features of the picture at a half, a quarter and an eighth of its side; e: of elevation and distance."""
        x1 = self.enc1(self.stem(functional.pixel_unshuffle(torch.cat([rgba, _places(rgba)], dim=1), 2)), e)
        x2 = self.enc2(self.down2(x1), e)
        return x1, x2, self.enc3(self.down3(x2), e)

    def attend(self, x3: Tensor, e: Tensor, blocks: int | None = None) -> tuple[Tensor, Tensor]:
        """Picture tokens and volume queries (B, 64, C) after the first so many blocks of attention (all)."""
        seen = tokens(x3) + self.position
        both = torch.cat([seen, (self.queries + self.query_camera(e)[:, None]).to(seen.dtype)], dim=1)
        for block in self.middle[:blocks]:
            both = block(both)
        seen, queries = both.chunk(2, dim=1)
        return seen, queries

    def _solid(
        self, asked: Tensor, deep: Tensor, coarse: Tensor, fine: Tensor, rgba: Tensor, cameras: Cameras
    ) -> Tensor:
        """The volume of logits from volume queries (B, 64, C) and the picture's features at three sizes."""
        v = (
            self.spread(asked)
            .reshape(-1, 4, 4, 4, 48, 2, 2, 2)
            .permute(0, 4, 1, 5, 2, 6, 3, 7)
            .reshape(-1, 48, 8, 8, 8)
            .contiguous(memory_format=torch.channels_last_3d)
        )
        v = v + _unprojected(deep, _cells(8, cameras)[0]).to(v.dtype)
        v = self.solid8_up(self.solid8(v))
        at, place = _cells(16, cameras)
        v = torch.cat([v, _unprojected(coarse, at), place], dim=1).contiguous(memory_format=torch.channels_last_3d)
        v = self.solid16(self.solid16_in(v))
        v = self.solid16_up(v)
        at, _ = _cells(GRID, cameras)
        v = functional.silu(v + _unprojected(fine, at).to(v.dtype)).contiguous(memory_format=torch.channels_last_3d)
        v = self.out(functional.silu(self.refined32(self.solid32(v)))).float()
        # what lies behind a pixel has the pixel's colour, unless the network says otherwise
        colour = torch.logit(_unprojected(rgba[:, :3].float(), at), eps=0.02)
        return torch.cat([v[:, :1], v[:, 1:] + colour], dim=1)


def lifted_from(lift: Lift, subject: Subject) -> Lifted:
    """What the subject's first picture, of PICTURE pixels, is lifted to; without a graph if none is wanted."""
    front = subject.pictures[0]
    planes = torch.cat([front.picture.rgb, front.picture.mask], dim=-1).permute(2, 0, 1)[None]
    return lift_both_ways(lift, planes, front.camera.to(planes.device))


def lift_both_ways(lift: Lift, rgba: Tensor, cameras: Cameras) -> Lifted:
    """The mean of what the picture and its mirror image are lifted to, the latter mirrored back; tokens of the picture.

    The mirror image of an object is as likely as the object, so that both are guesses at the same solid, whose errors
    differ. The solid's logits are then stretched, see STRETCH. Shapes as in `Lift`.
    """
    both: Lifted = lift(torch.stack([rgba, rgba.flip(-1)], dim=1).flatten(0, 1), repeat_cameras(cameras, 2))
    volume, mirrored = both.volume.unflatten(0, (-1, 2)).unbind(1)
    mean = (volume + mirrored.flip(-2)) / 2
    solid = STRETCH * mean[:, :1] + RAISE
    return Lifted(torch.cat([solid, mean[:, 1:]], dim=1), both.tokens[::2], cameras)


def repeat_cameras(cameras: Cameras, times: int) -> Cameras:
    """Each camera `times` times in a row."""
    return replace(cameras, camera_to_world=cameras.camera_to_world.repeat_interleave(times, 0))


def _places(like: Tensor) -> Tensor:
    """Pixel coordinates in [-1, 1], (B, 2, H, W)."""
    axis = torch.linspace(-1, 1, like.shape[-1], device=like.device, dtype=like.dtype)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y]).expand(like.shape[0], -1, -1, -1)


def _cells(grid: int, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Where the centres of grid^3 cells project to, (B, z, y, x, 2) as grid_sample wants it; and (B, 3, z, y, x).

    The three are their depth from the camera less its distance, their height and their place across, in units of BOX.
    """
    pose = cameras.camera_to_world.float()
    axis = ((torch.arange(grid, device=pose.device) + 0.5) / grid * 2 - 1) * BOX
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    points = turned(torch.stack([x, y, z], dim=-1).reshape(1, -1, 3).expand(len(cameras), -1, -1), cameras, back=True)
    with torch.autocast(pose.device.type, enabled=False):  # in bfloat16 places would be a tenth of a pixel off
        local = torch.einsum("bij,bni->bnj", pose[:, :3, :3], points - pose[:, None, :3, 3])
    ahead = -local[..., 2].clamp(max=-1e-3)
    half = torch.tan(cameras.fovs.float() / 2)[:, None]
    places = torch.stack([local[..., 0], -local[..., 1]], dim=-1) / (ahead * half)[..., None]
    depth = (ahead - cameras.distance.float()[:, None]).reshape(-1, grid, grid, grid)
    place = torch.stack([depth, z.expand_as(depth), y.expand_as(depth)], dim=1) / BOX
    return places.reshape(-1, grid, grid, grid, 2), place


def _unprojected(features: Tensor, places: Tensor) -> Tensor:
    """Features (B, C, H, W) read at places (B, n, n, n, 2) -> (B, C, n, n, n)."""
    batch, grid = places.shape[:2]
    flat = places.reshape(batch, grid, grid * grid, 2)
    read = functional.grid_sample(features, flat, padding_mode="border", align_corners=False)
    return read.reshape(batch, -1, grid, grid, grid)


def turned(vectors: Tensor, cameras: Cameras, back: bool = False) -> Tensor:
    """World vectors (B, N, 3) about z into the frame whose azimuth 0 is the B cameras' (or back)."""
    angle = cameras.azimuth.to(vectors)[:, None] * (1 if back else -1)
    x, y, z = vectors.unbind(dim=-1)
    return torch.stack([x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos(), z.expand_as(x)], dim=-1)
