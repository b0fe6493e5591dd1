"""Tensor names of original checkpoints (latent diffusion, OpenAI's and OpenCLIP's CLIP) -> diffusers' and transformers'.

Pure dictionaries of tensors; nothing is read or written here. Head counts cannot be read from shapes: configurations
come with the model, not from this file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

State = Mapping[str, Tensor]
UNET, EMA, VAE = "model.diffusion_model.", "model_ema.diffusion_model", "first_stage_model."
CLIP = "cond_stage_model.model.visual."
BLOCKS = "transformer.resblocks."

UNET_CONFIG: dict[str, Any] = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "down_block_types": ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,  # diffusers' name for the number of heads
}
"""Stable Diffusion 1's U-Net."""
VAE_CONFIG: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "block_out_channels": [128, 256, 512, 512],
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 512,
    "scaling_factor": 0.18215,
}
"""Its autoencoder, and that of all its kin up to 2.1."""
SCHEDULER_CONFIG: dict[str, Any] = {
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
"""Their noise levels, as a DDIMScheduler's; 2.1 of 768 pixels predicts v."""

RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "emb_layers.1": "time_emb_proj",
    "skip_connection": "conv_shortcut",
}
CLIP_NAMES = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}


def convert_unet(state: State, ema: bool) -> dict[str, Tensor]:
    """The U-Net's tensors, EMA or raw, under diffusers' names."""
    names = [key.removeprefix(UNET) for key in state if key.startswith(UNET)]
    source = {name: EMA + name.replace(".", "") if ema else UNET + name for name in names}
    return {unet_name(name): state[key] for name, key in source.items()}


def unet_name(name: str) -> str:
    """One U-Net tensor's name; the layout has two residual blocks a level going down and three going up."""
    name = re.sub(r"^time_embed\.(0|2)\.", lambda m: f"time_embedding.linear_{1 if m[1] == '0' else 2}.", name)
    name = re.sub(r"^out\.0\.", "conv_norm_out.", re.sub(r"^out\.2\.", "conv_out.", name))
    name = re.sub(r"^input_blocks\.0\.0\.", "conv_in.", name)
    found = re.match(r"(input_blocks|output_blocks|middle_block)\.(\d+)\.(?:(\d+)\.)?(.*)", name)
    if not found:
        return name
    where, first, second, rest = found[1], int(found[2]), found[3], found[4]
    if where == "middle_block":
        rest = f"{second}.{rest}" if second else rest
        places = ("resnets.0", "attentions.0", "resnets.1")
        return f"mid_block.{places[first]}.{_resnet(rest)}"
    if where == "input_blocks":
        level, index = divmod(first - 1, 3)
        if index == 2:
            return f"down_blocks.{level}.downsamplers.0.conv.{rest.removeprefix('op.')}"
        return f"down_blocks.{level}.{'attentions' if second == '1' else 'resnets'}.{index}.{_resnet(rest)}"
    level, index = divmod(first, 3)
    if rest.startswith("conv."):  # also output_blocks.2.1, which is no attention: its level has none
        return f"up_blocks.{level}.upsamplers.0.{rest}"
    return f"up_blocks.{level}.{'attentions' if second == '1' else 'resnets'}.{index}.{_resnet(rest)}"


def _resnet(rest: str) -> str:
    for old, new in RESNET.items():
        if rest.startswith(old + "."):
            return new + rest.removeprefix(old)
    return rest


def convert_vae(state: State) -> dict[str, Tensor]:
    """The autoencoder's tensors under diffusers' names; the decoder's levels are counted the other way round there."""
    names = [key.removeprefix(VAE) for key in state if key.startswith(VAE)]
    levels = 1 + max(int(m[1]) for name in names if (m := re.match(r"decoder\.up\.(\d+)\.", name)))
    return {_vae_name(name, levels): _vae_tensor(name, state[VAE + name]) for name in names}


def _vae_name(name: str, levels: int) -> str:
    name = name.replace("norm_out", "conv_norm_out").replace("nin_shortcut", "conv_shortcut")
    name = re.sub(r"encoder\.down\.(\d+)\.block\.", r"encoder.down_blocks.\1.resnets.", name)
    name = re.sub(r"encoder\.down\.(\d+)\.downsample\.", r"encoder.down_blocks.\1.downsamplers.0.", name)
    up = re.match(r"decoder\.up\.(\d+)\.(block|upsample)\.(.*)", name)
    if up:
        part = "resnets." if up[2] == "block" else "upsamplers.0."
        name = f"decoder.up_blocks.{levels - 1 - int(up[1])}.{part}{up[3]}"
    name = name.replace("mid.block_1.", "mid_block.resnets.0.").replace("mid.block_2.", "mid_block.resnets.1.")
    attention = re.match(r"(.*)mid\.attn_1\.(norm|q|k|v|proj_out)\.(.*)", name)
    if attention:
        new = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}[attention[2]]
        name = f"{attention[1]}mid_block.attentions.0.{new}.{attention[3]}"
    return name


def _vae_tensor(name: str, tensor: Tensor) -> Tensor:
    """Attention's 1x1 convolutions become linear layers."""
    return tensor[..., 0, 0] if ".attn_1." in name and tensor.ndim == 4 else tensor


def convert_clip(state: State, prefix: str = CLIP) -> dict[str, Tensor]:
    """A vision tower of OpenAI's or OpenCLIP's names, under transformers': q, k, v split, the projection transposed."""
    out: dict[str, Tensor] = {}
    for name, tensor in _under(prefix, state):
        if name == "proj":
            out["visual_projection.weight"] = tensor.T
        elif name.startswith(BLOCKS):
            out |= {f"vision_model.{new}": part for new, part in _clip_block(name, tensor)}
        else:
            out[f"vision_model.{_clip_stem(name)}"] = tensor
    return out


def convert_clip_text(state: State, prefix: str) -> dict[str, Tensor]:
    """A text tower of OpenCLIP's names, under those of transformers' CLIPTextModel, the projection transposed.

    (Its names begin with `text_model.` before transformers 5; here they do not.)
    """
    stems = {
        "token_embedding.weight": "embeddings.token_embedding.weight",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_final.weight": "final_layer_norm.weight",
        "ln_final.bias": "final_layer_norm.bias",
    }
    out: dict[str, Tensor] = {}
    for name, tensor in _under(prefix, state):
        if name.startswith(BLOCKS):
            out.update(_clip_block(name, tensor))
        elif name == "text_projection":
            out["text_projection.weight"] = tensor.T
        elif name in stems:
            out[stems[name]] = tensor
    return out


def _under(prefix: str, state: State) -> Iterator[tuple[str, Tensor]]:
    return ((key.removeprefix(prefix), state[key]) for key in state if key.startswith(prefix))


def _clip_block(name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """One tensor of a transformer block: three where q, k, v are fused."""
    number, rest = name.removeprefix(BLOCKS).split(".", 1)
    place = f"encoder.layers.{number}."
    if rest.startswith("attn.in_proj_"):
        kind = rest.removeprefix("attn.in_proj_")
        for part, rows in zip("qkv", tensor.chunk(3), strict=True):
            yield f"{place}self_attn.{part}_proj.{kind}", rows
    else:
        old = next(old for old in CLIP_NAMES if rest.startswith(old + "."))
        yield f"{place}{CLIP_NAMES[old]}{rest.removeprefix(old)}", tensor


def _clip_stem(name: str) -> str:
    name = name.replace("ln_pre", "pre_layrnorm").replace("ln_post", "post_layernorm")  # transformers' own spelling
    name = re.sub(r"^class_embedding$", "embeddings.class_embedding", name)
    name = re.sub(r"^conv1\.", "embeddings.patch_embedding.", name)
    return re.sub(r"^positional_embedding$", "embeddings.position_embedding.weight", name)
