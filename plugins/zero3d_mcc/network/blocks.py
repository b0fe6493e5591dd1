"""Transformer blocks as MCC's checkpoint names and lays them out: qkv's rows are all q, all k, all v."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-6
"""Of every LayerNorm."""


class KeysValues(NamedTuple):
    """What queries attend to in one block: both (B, heads, T, D)."""

    keys: Tensor
    values: Tensor


class Attention(nn.Module):
    """Among tokens (B, T, W), or of queries to tokens whose keys and values are known."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def parts(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values (B, heads, T, D)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def forward(self, x: Tensor) -> tuple[Tensor, KeysValues]:
        q, k, v = self.parts(x)
        out: Tensor = self.proj(_joined(functional.scaled_dot_product_attention(q, k, v)))
        return out, KeysValues(k, v)

    def ask(self, x: Tensor, seen: KeysValues) -> Tensor:
        """Each query (B, Q, W) attends to the seen tokens and to itself, to no other query."""
        q, k, v = self.parts(x)
        q = q * q.shape[-1] ** -0.5
        scores = torch.cat([q @ seen.keys.mT, (q * k).sum(dim=-1, keepdim=True)], dim=-1)
        share = scores.softmax(dim=-1)
        out: Tensor = self.proj(_joined(share[..., :-1] @ seen.values + share[..., -1:] * v))
        return out


class Feedforward(nn.Module):
    """`ratio` times as wide inside; exact GELU."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Norm before attention and before the feedforward."""

    def __init__(self, width: int, heads: int, ratio: int = 4) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=EPS)
        self.mlp = Feedforward(width, ratio)

    def known(self, x: Tensor) -> tuple[Tensor, KeysValues]:
        """Tokens (B, T, W) among themselves, and what queries can attend to."""
        out, seen = self.attn(self.norm1(x))
        x = x + out
        return x + self.mlp(self.norm2(x)), seen

    def forward(self, x: Tensor) -> Tensor:
        return self.known(x)[0]

    def ask(self, x: Tensor, seen: KeysValues) -> Tensor:
        """Queries (B, Q, W), each by itself."""
        x = x + self.attn.ask(self.norm1(x), seen)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


def _joined(x: Tensor) -> Tensor:
    """(B, heads, T, D) -> (B, T, heads * D)."""
    return x.transpose(1, 2).flatten(2)
