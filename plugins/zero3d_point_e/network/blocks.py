"""Transformer blocks as Point-E's checkpoints name and lay them out.

Each head's query, key and value lie together in a projection's rows: head 0's q, k, v, then head 1's. LayerNorm's epsilon
is 1e-5, GELU exact.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Feedforward(nn.Module):
    """Four times as wide inside; also what embeds the time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.c_proj(functional.gelu(self.c_fc(x)))
        return out


class SelfAttention(nn.Module):
    """Every token (B, T, W) with every other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_qkv = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = _heads(self.c_qkv(x), self.heads).chunk(3, dim=-1)
        return _joined(q, k, v, self.c_proj)


class CrossAttention(nn.Module):
    """Queries (B, Q, W) among tokens (B, T, W)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.c_q = nn.Linear(width, width)
        self.c_kv = nn.Linear(width, 2 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        k, v = _heads(self.c_kv(tokens), self.heads).chunk(2, dim=-1)
        return _joined(_heads(self.c_q(x), self.heads), k, v, self.c_proj)


def _heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, heads * D) -> (B, heads, T, D)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _joined(q: Tensor, k: Tensor, v: Tensor, project: nn.Linear) -> Tensor:
    seen = functional.scaled_dot_product_attention(q, k, v)
    out: Tensor = project(seen.transpose(1, 2).flatten(2))
    return out


class SelfBlock(nn.Module):
    """x += attn(ln_1 x); x += mlp(ln_2 x)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = Feedforward(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class CrossBlock(nn.Module):
    """x += attn(ln_1 x, ln_2 tokens); x += mlp(ln_3 x)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = CrossAttention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Feedforward(width)
        self.ln_3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x), self.ln_2(tokens))
        out: Tensor = x + self.mlp(self.ln_3(x))
        return out


class SelfBlocks(nn.Module):
    """Blocks, one after the other."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(SelfBlock(width, heads) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x)
        return x


class CrossBlocks(nn.Module):
    """Blocks over the same tokens, one after the other."""

    def __init__(self, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(CrossBlock(width, heads) for _ in range(layers))

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        for block in self.resblocks:
            x = block(x, tokens)
        return x


def time_vector(t: Tensor, width: int) -> Tensor:
    """(B,) timesteps 0 to 1023 -> (B, width), cosines before sines of t / 10000^(2 i / width)."""
    half = width // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=t.device) / half)
    angles = t[:, None].float() * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)
