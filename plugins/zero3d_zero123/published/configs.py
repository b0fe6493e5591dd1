"""The published network's configuration, in diffusers' and transformers' words.

Head counts cannot be read from the shapes of a checkpoint's tensors, so a checkpoint of another size needs a file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zero3d import RecipeError
from zero3d.errors import did_you_mean

Configs = dict[str, dict[str, Any]]

PUBLISHED: Configs = {
    "unet": {
        "sample_size": 32,
        "in_channels": 8,
        "out_channels": 4,
        "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "cross_attention_dim": 768,
        "attention_head_dim": 8,  # diffusers' name for the number of heads
    },
    "vae": {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
        "block_out_channels": [128, 256, 512, 512],
        "layers_per_block": 2,
        "latent_channels": 4,
        "sample_size": 256,
        "scaling_factor": 0.18215,
    },
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

SCHEDULER: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "prediction_type": "epsilon",
    "timestep_spacing": "leading",
}


def read_configs(file: str) -> Configs:
    """The published configuration, with the entries of a JSON file {part: {entry: value}} in its place.

    Raises:
        RecipeError: no JSON file, or a part that does not exist.
    """
    if not file:
        return PUBLISHED
    try:
        changes = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecipeError(f"denoiser.config: {file!r}: no readable JSON file ({error})") from None
    if not isinstance(changes, dict) or not all(isinstance(change, dict) for change in changes.values()):
        raise RecipeError(f"denoiser.config: {file!r}: give an object of parts, {{'unet': {{...}}, ...}}")
    for part in changes:
        if part not in PUBLISHED:
            raise RecipeError(f"denoiser.config: {file!r}: no part {part!r}.{did_you_mean(part, PUBLISHED)}")
    return {part: {**config, **changes.get(part, {})} for part, config in PUBLISHED.items()}
