"""Zero123++'s network: diffusers' U-Net, whose self-attention also reads what it kept of a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn


class Kept:
    """The reference's tokens by layer; None while it is written."""

    def __init__(self) -> None:
        self.tokens: dict[int, Tensor] = {}
        self.writing = False


class ReferenceAttention(AttnProcessor2_0):
    """Self-attention that keeps its input while the reference is written, then appends it to its keys and values."""

    def __init__(self, layer: int, kept: Kept) -> None:
        super().__init__()
        self.layer, self.kept = layer, kept

    def __call__(self, attn: Attention, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen = hidden_states
        if self.kept.writing:
            self.kept.tokens[self.layer] = hidden_states
        else:
            seen = torch.cat([hidden_states, self.kept.tokens.pop(self.layer)], dim=1)
        out: Tensor = super().__call__(attn, hidden_states, **{**kwargs, "encoder_hidden_states": seen})
        return out


class ReferenceNetwork(nn.Module):
    """v of latent tiles, beside a reference that the same network sees at the same level (arXiv 2310.15110, section 2.2)."""

    unet: Any

    def __init__(self, config: Mapping[str, Any]) -> None:
        """`config`: that of diffusers' UNet2DConditionModel."""
        super().__init__()
        self.unet = UNet2DConditionModel.from_config(dict(config))
        self.kept = Kept()
        names = [name for name in self.unet.attn_processors if name.endswith("attn1.processor")]
        layers = {name: ReferenceAttention(layer, self.kept) for layer, name in enumerate(names)}
        self.unet.set_attn_processor({n: layers.get(n, AttnProcessor2_0()) for n in self.unet.attn_processors})

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def forward(self, latent: Tensor, t: Tensor, context: Tensor, reference: Tensor) -> Tensor:
        """v (N, 4, H, W) of variance-preserving latents (N, 4, H, W) at timesteps (N,).

        `context` (N, L, C) and the noised `reference` (N, 4, h, w), whose size may be another, belong to each row.
        """
        words = context.to(self.dtype)
        try:
            self.kept.writing = True
            self.unet(reference.to(self.dtype), t, encoder_hidden_states=words)
            self.kept.writing = False
            out: Tensor = self.unet(latent.to(self.dtype), t, encoder_hidden_states=words).sample
        finally:
            self.kept.tokens.clear()
        return out.to(latent.dtype)
