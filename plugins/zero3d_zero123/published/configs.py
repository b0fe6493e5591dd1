"""The published network's configuration, in diffusers' and transformers' words.

Head counts cannot be read from the shapes of a checkpoint's tensors, so a checkpoint of another size needs a file.
"""

from __future__ import annotations

from typing import Any

from zero3d.weights import Configs, changed_configs
from zero3d.weights.ldm import UNET_CONFIG, VAE_CONFIG

PUBLISHED: Configs = {
    "unet": {**UNET_CONFIG, "sample_size": 32, "in_channels": 8},
    "vae": {**VAE_CONFIG, "sample_size": 256},
    "image_encoder": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 224,
        "projection_dim": 768,
        "hidden_act": "quick_gelu",
    },
}
"""cvlab-columbia/zero123, sd-objaverse-finetune-c_concat-256.yaml."""

TINY: dict[str, dict[str, Any]] = {
    "unet": {"block_out_channels": [32, 64, 64, 64], "cross_attention_dim": 48},
    "vae": {"block_out_channels": [32, 32, 64, 64]},
    "image_encoder": {
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": 48,
    },
}
"""What a network of a few million parameters has otherwise, to try things out."""


def read_configs(file: str) -> Configs:
    """The published configuration, with the entries of a JSON file {part: {entry: value}} in its place.

    Raises:
        RecipeError: no JSON file, or a part that does not exist.
    """
    return changed_configs(PUBLISHED, file)
