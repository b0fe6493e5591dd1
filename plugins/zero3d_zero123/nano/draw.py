"""Drawing a lifted volume from any camera: emission and absorption along rays, as in NeRF."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import rays
from zero3d.values import Cameras
from zero3d_zero123.nano.lift import BOX, CELL, Lifted, turned

SAMPLES = 32
"""Samples along a ray. 48 draw no better (0.01 dB), and take half as long again."""
HALF_SPAN = 0.95
"""Samples cover the camera's distance from the origin +- this, along the ray, world units."""

LEAST_WEIGHT = 1e-4
"""Samples with a smaller share of their ray lend it no colour (as in SJC's renderer)."""


def draw_rays(
    lifted: Lifted, origins: Tensor, directions: Tensor, distance: Tensor, samples: int, far: float = 3.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour on white (B, N, 3), opacity (B, N, 1) and depth (B, N, 1) of N rays for each of the B volumes.

    `distance` (B, N): of each ray's camera from the origin. Depth is the expected distance + (1 - opacity) * far.
    """
    origins, directions = turned(origins, lifted.cameras) / BOX, turned(directions, lifted.cameras) / BOX
    t = along(distance, samples)
    optical = _density(lifted.volume[:, :1], origins, directions, t) * (2 * HALF_SPAN / samples / CELL)
    transmitted = torch.exp(-torch.cumsum(optical, dim=-1))
    before = torch.cat([torch.ones_like(transmitted[..., :1]), transmitted[..., :-1]], dim=-1)
    weights = before - transmitted
    opacity = 1 - transmitted[..., -1:]
    colour = _colours(lifted.volume[:, 1:], origins, directions, t, weights) + transmitted[..., -1:]
    return colour, opacity, (weights * t).sum(dim=-1, keepdim=True) + (1 - opacity) * far


def along(distance: Tensor, samples: int) -> Tensor:
    """(..., samples): where samples lie on rays whose cameras are `distance` (...) from the origin, world units."""
    offset = (torch.arange(samples, device=distance.device) + 0.5) * (2 * HALF_SPAN / samples) - HALF_SPAN
    return distance[..., None] + offset


def _density(logits: Tensor, origins: Tensor, directions: Tensor, t: Tensor) -> Tensor:
    """softplus(logit) inside the box, 0 outside, (B, N, S). On a CPU, samples outside (two of five) are not read.

    Rays are in half-sides of the box.
    """
    if logits.is_cuda:  # finding them would wait for the device, and reading them all costs it little
        points = origins[:, :, None] + directions[:, :, None] * t[..., None]
        return density_at(logits, points) * (points.abs() <= 1).all(dim=-1)
    drawn = []
    for volume, start, way, at in zip(logits, origins, directions, t, strict=True):
        axes = [start[:, i, None] + way[:, i, None] * at for i in range(3)]
        furthest = torch.maximum(torch.maximum(axes[0].abs(), axes[1].abs()), axes[2].abs())
        inside = (furthest <= 1).flatten().nonzero()[:, 0]
        points = torch.stack([axis.flatten().index_select(0, inside) for axis in axes], dim=-1)
        density = density_at(volume[None], points[None, None])[0, 0]
        drawn.append(at.new_zeros(at.numel()).scatter(0, inside, density).reshape(at.shape))
    return torch.stack(drawn)


def _colours(colours: Tensor, origins: Tensor, directions: Tensor, t: Tensor, weights: Tensor) -> Tensor:
    """Sum of weight times colour along each ray, (B, N, 3). On a CPU, samples of empty space (most) are passed over."""
    if colours.is_cuda:
        points = origins[:, :, None] + directions[:, :, None] * t[..., None]
        return (weights[:, None] * read(colours, points).sigmoid()).sum(dim=-1).transpose(1, 2)
    drawn = []
    for volume, start, way, at, weight in zip(colours, origins, directions, t, weights, strict=True):
        ray, sample = (weight.detach() > LEAST_WEIGHT).nonzero(as_tuple=True)
        points = start[ray] + way[ray] * at[ray, sample, None]
        shares = weight[ray, sample, None] * read(volume[None], points[None, None])[0, :, 0].T.sigmoid()
        drawn.append(shares.new_zeros(len(weight), 3).index_add(0, ray, shares))
    return torch.stack(drawn)


def density_at(logits: Tensor, points: Tensor) -> Tensor:
    """(B, N, S) per side of a cell: a cell that is solid with probability p lets 1 - p of the light through."""
    return functional.softplus(read(logits, points)[:, 0])


def read(volume: Tensor, points: Tensor) -> Tensor:
    """(B, C, z, y, x) at points (B, N, S, 3) of [-1, 1]^3 -> (B, C, N, S); beyond the outermost centres as on them."""
    read = functional.grid_sample(volume, points[:, :, :, None], padding_mode="border", align_corners=False)
    return read[..., 0]


def draw_views(lifted: Lifted, cameras: Cameras) -> Tensor:
    """The volume b drawn from each of its T cameras: (B * T, 5, H, W) of RGB on white, opacity, depth.

    `cameras` holds B * T, volume by volume; depth is relative to the camera's distance, so the object is about 0.
    """
    batch = lifted.volume.shape[0]
    origins, directions = rays(cameras)
    _, height, width, _ = origins.shape
    distance = cameras.distance[:, None].expand(-1, height * width)
    colour, opacity, depth = draw_rays(
        lifted,
        origins.reshape(batch, -1, 3),
        directions.reshape(batch, -1, 3),
        distance.reshape(batch, -1),
        SAMPLES,
    )
    depth = depth - distance.reshape(batch, -1, 1)
    drawn = torch.cat([colour, opacity, depth], dim=-1).reshape(-1, height, width, 5)
    return drawn.permute(0, 3, 1, 2)
