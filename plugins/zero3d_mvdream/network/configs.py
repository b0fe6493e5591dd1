"""The published networks' configurations; the U-Net's in its authors' words and in diffusers'."""

from __future__ import annotations

from typing import Any

from zero3d.weights import Configs, changed_configs
from zero3d.weights.ldm import VAE_CONFIG

CLIP_H: dict[str, Any] = {"hidden_act": "gelu", "num_attention_heads": 16, "projection_dim": 1024}
PUBLISHED: Configs = {
    "unet": {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 320,
        "attention_resolutions": [4, 2, 1],
        "num_res_blocks": 2,
        "channel_mult": [1, 2, 4, 4],
        "num_head_channels": 64,
        "transformer_depth": 1,
        "context_dim": 1024,
        "camera_dim": 16,
        "ip_dim": 16,  # of ImageDream alone
    },
    "vae": {**VAE_CONFIG, "sample_size": 256},
    "text_encoder": {
        **CLIP_H,
        "vocab_size": 49408,
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 23,  # of 24: the context is the last layer but one, normed
        "max_position_embeddings": 77,
        "bos_token_id": 49406,
        "eos_token_id": 49407,
    },
    "image_encoder": {
        **CLIP_H,
        "hidden_size": 1280,
        "intermediate_size": 5120,
        "num_hidden_layers": 32,
        "image_size": 224,
        "patch_size": 14,
    },
}
"""sd_v2_base.yaml and sd_v2_base_ipmv.yaml of bytedance/MVDream and ImageDream; OpenCLIP's ViT-H-14."""
RESAMPLER = {"depth": 4, "dim_head": 64, "heads": 12, "ffn_ratio": 4}


def read_configs(file: str) -> Configs:
    """The published configuration, with the entries of a JSON file {part: {entry: value}} in its place.

    Raises:
        RecipeError: no JSON file, or a part that does not exist.
    """
    return changed_configs(PUBLISHED, file)


def stock_unet(config: dict[str, Any]) -> dict[str, Any]:
    """diffusers' UNet2DConditionModel of an original configuration: the camera goes in where a class would.

    Its "projection" of a class is Linear, SiLU, Linear, added to the time embedding: what camera_embed is.
    """
    widths = [config["model_channels"] * m for m in config["channel_mult"]]
    attended = [2**level in config["attention_resolutions"] for level in range(len(widths))]
    return {
        "sample_size": config["image_size"],
        "in_channels": config["in_channels"],
        "out_channels": config["out_channels"],
        "down_block_types": ["CrossAttnDownBlock2D" if yes else "DownBlock2D" for yes in attended],
        "up_block_types": ["CrossAttnUpBlock2D" if yes else "UpBlock2D" for yes in reversed(attended)],
        "block_out_channels": widths,
        "layers_per_block": config["num_res_blocks"],
        "transformer_layers_per_block": config.get("transformer_depth", 1),
        "cross_attention_dim": config["context_dim"],
        "attention_head_dim": [width // config["num_head_channels"] for width in widths],  # diffusers: how many heads
        "use_linear_projection": True,
        "class_embed_type": "projection",
        "projection_class_embeddings_input_dim": config["camera_dim"],
    }
