"""The networks without files: their modules as their libraries make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.weights import Configs
from zero3d_mvdream.network.configs import PUBLISHED
from zero3d_mvdream.weights.source import Source, make_module
from zero3d_mvdream.weights.words import LENGTH

TINY: dict[str, dict[str, Any]] = {
    "unet": {
        "image_size": 8,
        "model_channels": 32,
        "channel_mult": [1, 2, 2, 2],
        "num_head_channels": 16,
        "context_dim": 48,
    },
    "vae": {"block_out_channels": [32, 32, 64, 64]},
    "text_encoder": {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4},
    "image_encoder": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4},
}


class Untrained(Source):
    """A source that reads nothing: no tokenizer, and random numbers for a text's embedding."""

    tokenizer = None

    def __init__(self, family: str, tiny: bool) -> None:
        super().__init__(family)
        changes = TINY if tiny else {}
        self.configs: Configs = {part: {**PUBLISHED[part], **changes.get(part, {})} for part in self.parts}

    @property
    def weight_files(self) -> list[Path]:
        """None."""
        return []

    def file(self, part: str) -> Path:
        raise FileNotFoundError(f"{self.family}'s {part} is untrained")

    def state(self, part: str) -> dict[str, Tensor]:
        raise FileNotFoundError(f"{self.family}'s {part} is untrained")

    def build(self, part: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A part, made anew, frozen, on the CPU."""
        made = make_module(part, self.configs, self.family)
        made = made.eval().requires_grad_(False)
        return made.to(dtype)

    def embeddings(self, count: int) -> Tensor:
        """(count, 77, C), standard normal, always the same."""
        width = int(self.configs["unet"]["context_dim"])
        return torch.randn(count, LENGTH, width, generator=torch.Generator().manual_seed(0))
