"""SV3D without a file: its modules as their libraries make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d_novel_views.sv3d.source import PUBLISHED, Source, make_module

TINY: dict[str, dict[str, Any]] = {
    "unet": {
        "block_out_channels": [32, 64, 64, 64],
        "layers_per_block": 1,
        "num_attention_heads": [2, 4, 4, 4],
        "cross_attention_dim": 48,
    },
    "vae": {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1},
    "image_encoder": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 48,
    },
}
TINY_SIZE = 64
"""Side of a tiny one's frames, pixels."""


class Untrained(Source):
    """A source that reads nothing."""

    def __init__(self, tiny: bool) -> None:
        changes = TINY if tiny else {}
        self.configs = {part: {**config, **changes.get(part, {})} for part, config in PUBLISHED.items()}

    @property
    def weight_files(self) -> list[Path]:
        """None."""
        return []

    def check(self, only: str = "") -> None:
        """There is nothing to hold against the configurations."""

    def state(self, part: str) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def build(self, part: str, dtype: torch.dtype = torch.float32) -> nn.Module:
        """A part, made anew, on the CPU."""
        made = make_module(part, self.configs[part])
        return made.to(dtype)
