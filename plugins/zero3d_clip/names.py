"""OpenAI's and OpenCLIP's names of CLIP's tensors -> those of transformers, and the sizes that shapes tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

BLOCK = re.compile(r"(visual\.)?transformer\.resblocks\.(\d+)\.(.+)")
IN_BLOCK = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
PLAIN = {
    "logit_scale": "logit_scale",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",  # spelt so
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
TURNED = {"visual.proj": "visual_projection.weight", "text_projection": "text_projection.weight"}
"""Matrices that are stored the other way round."""
OPENAI_ONLY = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Numbers that stand among OpenAI's own tensors; its networks have quick_gelu."""
WIDE = 1280
"""From this width of the vision tower on (H, g), CLIPs are LAION's and have gelu."""


def original(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensors are called as OpenAI's and OpenCLIP's are."""
    return "visual.conv1.weight" in state


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by transformers' names, joint query, key and value matrices in three; what has none there is left out."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        block = BLOCK.fullmatch(name)
        if block:
            tower = "vision_model" if block[1] else "text_model"
            rest, _, end = block[3].rpartition(".")
            place = f"{tower}.encoder.layers.{block[2]}"
            if block[3].startswith("attn.in_proj_"):
                end = block[3].removeprefix("attn.in_proj_")
                for letter, part in zip("qkv", tensor.chunk(3), strict=True):
                    found[f"{place}.self_attn.{letter}_proj.{end}"] = part
            elif rest in IN_BLOCK:
                found[f"{place}.{IN_BLOCK[rest]}.{end}"] = tensor
        elif name in PLAIN:
            found[PLAIN[name]] = tensor
        elif name in TURNED:
            found[TURNED[name]] = tensor.T
    return found


def sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """transformers' configuration of a file with original names, read off its shapes.

    Raises:
        ValueError: which of the two activations it was trained with cannot be told.
    """
    width, _, patch, _ = state["visual.conv1.weight"].shape
    if not OPENAI_ONLY & state.keys() and width < WIDE:
        raise ValueError("whether it was trained with gelu or quick_gelu cannot be told from its tensors")
    activation = "gelu" if width >= WIDE else "quick_gelu"
    grid = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    vocabulary, text_width = state["token_embedding.weight"].shape
    projection = state["visual.proj"].shape[1]
    vision = {
        "hidden_size": width,
        "intermediate_size": state["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": _layers(state, "visual.transformer"),
        "num_attention_heads": 16 if width >= WIDE else width // 64,
        "patch_size": patch,
        "image_size": grid * patch,
        "hidden_act": activation,
        "projection_dim": projection,
    }
    text = {
        "vocab_size": vocabulary,
        "hidden_size": text_width,
        "intermediate_size": state["transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "num_hidden_layers": _layers(state, "transformer"),
        "num_attention_heads": text_width // 64,
        "max_position_embeddings": state["positional_embedding"].shape[0],
        "hidden_act": activation,
        "bos_token_id": vocabulary - 2,
        "eos_token_id": vocabulary - 1,
        "projection_dim": projection,
    }
    return {"model_type": "clip", "projection_dim": projection, "vision_config": vision, "text_config": text}


def _layers(state: Mapping[str, Tensor], prefix: str) -> int:
    heads = f"{prefix}.resblocks."
    return 1 + max(int(name.removeprefix(heads).split(".")[0]) for name in state if name.startswith(heads))
