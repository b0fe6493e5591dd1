"""Building blocks of nano's two networks."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Network = TypeVar("Network", bound=nn.Module)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, conv, twice; an embedding shifts and scales between them. (B, C, H, W) -> (B, C', H, W)."""

    def __init__(self, channels: int, out_channels: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, padding=1)
        self.embed = nn.Linear(embedding, 2 * out_channels)
        self.norm2 = nn.GroupNorm(8, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(channels, out_channels, 1) if channels != out_channels else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.embed(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        return self.skip(x) + self.conv2(functional.silu(h))


class Attention(nn.Module):
    """Pre-norm attention of (B, N, C) tokens to themselves or to `context` (B, M, C'), then a feed-forward layer."""

    def __init__(self, channels: int, heads: int, context: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.query = nn.Linear(channels, channels)
        self.key_value = nn.Linear(context or channels, 2 * channels)
        self.out = nn.Linear(channels, channels)
        narrow = nn.Linear(3 * channels, channels)
        self.feed = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, 3 * channels), nn.GELU(), narrow)
        for last in (self.out, narrow):  # the block begins as the identity
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        y = self.norm(x)
        batch, _, channels = y.shape
        key, value = self.key_value(y if context is None else context).chunk(2, dim=-1)
        split = [
            t.reshape(batch, -1, self.heads, channels // self.heads).transpose(1, 2)
            for t in (self.query(y), key, value)
        ]
        x = x + self.out(_attend(*split).transpose(1, 2).reshape(batch, -1, channels))
        return x + self.feed(x)


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention over (B, heads, N, C). For some hundred tokens on a CPU in bfloat16, torch's fused kernel takes
    seven times as long in the backward pass."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return scores.softmax(dim=-1).to(value.dtype) @ value


def sinusoids(values: Tensor, count: int) -> Tensor:
    """(B, K) -> (B, K * count): sines and cosines of doubling frequencies."""
    frequencies = 2.0 ** torch.arange(count // 2, device=values.device, dtype=values.dtype) * math.pi / 2
    angles = values[..., None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)


def tokens(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2)


def picture(x: Tensor, size: int) -> Tensor:
    """(B, size * size, C) -> (B, C, size, size)."""
    return x.transpose(1, 2).reshape(x.shape[0], -1, size, size)


class ResidualBlock3d(nn.Module):
    """GroupNorm, SiLU, conv, twice. (B, C, D, H, W) -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv1 = nn.Conv3d(channels, channels, 3, padding=1)
        self.norm2 = nn.GroupNorm(8, channels)
        self.conv2 = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(functional.silu(self.norm1(x)))
        return x + self.conv2(functional.silu(self.norm2(y)))


def channels_last(network: Network) -> Network:
    """Store convolution weights channels last, which is faster on CPUs; in place."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in network.parameters():
        if parameter.ndim in formats:
            parameter.data = parameter.data.contiguous(memory_format=formats[parameter.ndim])
    return network
