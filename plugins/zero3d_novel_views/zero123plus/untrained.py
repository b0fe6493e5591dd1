"""Zero123++ without files: its modules as their libraries make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.diffusion import linear_alphas_cumprod, sigmas_from_alphas_cumprod
from zero3d.weights import CLIP_MEAN, CLIP_STD, Configs
from zero3d.weights.ldm import UNET_CONFIG, VAE_CONFIG
from zero3d_novel_views.zero123plus.extractor import Extractor
from zero3d_novel_views.zero123plus.source import TOKENS, Folder, make_module

TOWER: dict[str, Any] = {"hidden_act": "gelu", "num_attention_heads": 16, "projection_dim": 1024}
PUBLISHED: Configs = {
    "unet": {
        **UNET_CONFIG,
        "sample_size": 96,
        "in_channels": 4,
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "vae": dict(VAE_CONFIG),
    "text_encoder": {
        **TOWER,
        "vocab_size": 49408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,
        "max_position_embeddings": 77,
    },
    "vision_encoder": {
        **TOWER,
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "image_size": 224,
        "patch_size": 14,
    },
}
"""Stable Diffusion 2's networks and OpenCLIP's ViT-H-14, of which it is made."""
TINY: Configs = {
    "unet": {
        "sample_size": 16,
        "block_out_channels": [32, 64, 64, 64],
        "layers_per_block": 1,
        "cross_attention_dim": 48,
        "attention_head_dim": [2, 4, 4, 4],
    },
    "vae": {"block_out_channels": [32, 32, 64, 64]},
    "text_encoder": {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
    "vision_encoder": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 48,
    },
}
TINY_SIZE = 64
"""Side of a tiny one's views, pixels."""


class Untrained(Folder):
    """A source that reads nothing; the reference is as large as a view, the ramp even."""

    def __init__(self, size: int, tiny: bool) -> None:
        changes = TINY if tiny else {}
        self.configs = {part: {**config, **changes.get(part, {})} for part, config in PUBLISHED.items()}
        self.ramp = torch.linspace(0, 1, TOKENS)
        self.clip = Extractor(224, 0, "bicubic", CLIP_MEAN, CLIP_STD)
        self.latent = Extractor(size, 0, "bilinear", (0.5,) * 3, (0.8,) * 3)
        self.sigmas = sigmas_from_alphas_cumprod(linear_alphas_cumprod(1000, 0.00085, 0.012)).float()

    @property
    def weight_files(self) -> list[Path]:
        """None."""
        return []

    def build(self, part: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A part, made anew, on the CPU."""
        made = make_module(part, self.configs[part])
        return made.to(dtype)

    def empty_words(self) -> Tensor:
        """(1, 77), any tokens: start, end and zeros."""
        ids = torch.zeros(1, TOKENS, dtype=torch.long)
        ids[0, :2] = torch.tensor([49406, 49407])
        return ids
