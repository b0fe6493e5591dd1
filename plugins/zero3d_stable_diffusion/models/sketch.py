"""A model without files: the modules of a family's published configuration as their libraries make them, or tiny
ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.weights import Configs
from zero3d_stable_diffusion.models.families import IF
from zero3d_stable_diffusion.models.schedule import EPSILON
from zero3d_stable_diffusion.models.single_file import PUBLISHED, untrained
from zero3d_stable_diffusion.words.encoders import LENGTH

IF_UNET: dict[str, Any] = {
    "sample_size": 64,
    "in_channels": 3,
    "out_channels": 6,
    "layers_per_block": 3,
    "block_out_channels": [704, 1408, 2112, 2816],
    "down_block_types": ["ResnetDownsampleBlock2D"] + ["SimpleCrossAttnDownBlock2D"] * 3,
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "up_block_types": ["SimpleCrossAttnUpBlock2D"] * 3 + ["ResnetUpsampleBlock2D"],
    "cross_attention_dim": 2816,
    "encoder_hid_dim": 4096,
    "attention_head_dim": 64,
    "addition_embed_type": "text",
    "addition_embed_type_num_heads": 64,
    "cross_attention_norm": "group_norm",
    "resnet_time_scale_shift": "scale_shift",
    "act_fn": "gelu",
}
"""IF-I-XL's, as remembered, not read from its file: 4.3 billion parameters."""
TINY: dict[str, dict[str, Any]] = {
    "unet": {
        "sample_size": 16,
        "block_out_channels": [32, 64, 64, 64],
        "layers_per_block": 1,
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
    "text_encoder": {
        "hidden_size": 48,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 48,
    },
}
TINY_IF: dict[str, Any] = {
    "sample_size": 16,
    "layers_per_block": 1,
    "block_out_channels": [32, 32, 64, 64],
    "cross_attention_dim": 64,
    "encoder_hid_dim": 48,
    "attention_head_dim": 16,
    "addition_embed_type_num_heads": 4,
}


class Sketch:
    """Untrained modules; no tokenizer, and random numbers for a text's embedding."""

    prediction: str | None = EPSILON
    tokenizer: Path | None = None
    pad_id: int | None = None

    def __init__(self, family: str, parts: Mapping[str, str], tiny: bool = False) -> None:
        self._kinds = dict(parts)
        self.scheduler: dict[str, Any] = {}
        changes = TINY if tiny else {}
        if family == IF:
            self.configs: Configs = {"unet": {**IF_UNET, **(TINY_IF if tiny else {})}}
        else:
            self.configs = {part: {**PUBLISHED[768][part], **changes.get(part, {})} for part in parts}

    @property
    def weight_files(self) -> list[Path]:
        """None."""
        return []

    def load(self, part: str, dtype: torch.dtype) -> nn.Module:
        """One part, made anew, in `dtype`."""
        made = untrained(self._kinds[part], self.configs[part])
        return made.to(dtype)

    def embeddings(self, count: int, width: int) -> Tensor:
        """(count, 77, width), standard normal, always the same."""
        return torch.randn(count, LENGTH, width, generator=torch.Generator().manual_seed(0))
