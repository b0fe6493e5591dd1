"""The golden figures of metrics, and made-up weights of the networks that some of them need."""

import json
from pathlib import Path

import torch

from tests.plugins.zero123_tiny import synthetic

GOLDEN = json.loads(Path("tests/data/metrics.json").read_text(encoding="utf-8"))
INCEPTION = json.loads(Path("tests/data/inception.json").read_text(encoding="utf-8"))
"""Features of pytorch-fid's own network, under both packages' resizing, of the golden pictures ramp and noise."""


def lpips_weights(net, heads=True):
    """LPIPS' network with made-up numbers."""
    state = {}
    for name, shape in GOLDEN["lpips_synthetic_weights"][net]["shapes"].items():
        tensor = synthetic(f"{net}.{name}", shape)
        if name.startswith("lin"):
            tensor = tensor.abs()
        elif name.endswith("weight"):
            tensor = tensor * 2**0.5
        if heads or not name.startswith("lin"):
            state[name] = tensor
    return state


def inception_weights():
    """Made-up numbers in the layout of pytorch-fid's file, those that the golden features were computed with."""
    state = {}
    for name, shape in INCEPTION["shapes"].items():
        tensor = synthetic(f"inception.{name}", shape)
        if name.endswith("running_var"):
            tensor = tensor.abs() + 0.5
        elif name.endswith("conv.weight"):
            tensor = tensor * 2**0.5
        state[name] = tensor
    return state


def save_clip_vision(folder):
    """A CLIP vision model of 8 dimensions."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16,
        projection_dim=8,
    )  # fmt: skip
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder
