"""Published tensor names -> those of this package's modules. Dictionaries of tensors; nothing is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from zero3d.weights import ldm

State = Mapping[str, Tensor]

CAMERA = {"camera_embed.0.": "unet.class_embedding.linear_1.", "camera_embed.2.": "unet.class_embedding.linear_2."}
RESAMPLER = {
    "0.norm1.": "ln0.",
    "0.norm2.": "ln1.",
    "0.to_q.": "attn.to_q.",
    "0.to_out.": "attn.to_out.0.",
    "1.0.": "ff.0.",
    "1.1.": "ff.1.net.0.proj.",
    "1.3.": "ff.1.net.2.",
}
"""A layer of the Resampler -> diffusers' IPAdapterPlusImageProjection."""
PICTURE_KV = re.compile(r"\.attn2\.(to_[kv]_ip)\.")


def joint_state(tensors: State) -> dict[str, Tensor]:
    """The joint U-Net's tensors, by the names that both published layouts share, under JointNetwork's names."""
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        camera = next((old for old in CAMERA if name.startswith(old)), None)
        if camera:
            out[CAMERA[camera] + name.removeprefix(camera)] = tensor
        elif name.startswith("image_embed."):
            out |= _resampler_tensors(name.removeprefix("image_embed."), tensor)
        else:
            out["unet." + PICTURE_KV.sub(r".attn2.processor.\1.", ldm.unet_name(name))] = tensor
    return out


def _resampler_tensors(name: str, tensor: Tensor) -> dict[str, Tensor]:
    """One of the Resampler's under diffusers' name; fused k and v come apart."""
    layer = re.match(r"layers\.(\d+)\.(.*)", name)
    if not layer:
        return {f"resampler.{name}": tensor}
    place, rest = f"resampler.layers.{layer[1]}.", layer[2]
    if rest == "0.to_kv.weight":
        k, v = tensor.chunk(2)
        return {place + "attn.to_k.weight": k, place + "attn.to_v.weight": v}
    old = next((old for old in RESAMPLER if rest.startswith(old)), "")
    return {place + RESAMPLER.get(old, "") + rest.removeprefix(old): tensor}


def vae_state(tensors: State) -> dict[str, Tensor]:
    """The autoencoder's tensors, by their original names without prefix, under diffusers'."""
    return ldm.convert_vae({ldm.VAE + name: tensor for name, tensor in tensors.items()})


def text_state(tensors: State, layers: int) -> dict[str, Tensor]:
    """OpenCLIP's text tower under transformers' names: its first `layers` blocks, without the projection."""
    return _cut(ldm.convert_clip_text(tensors, ""), layers)


def vision_state(tensors: State, layers: int) -> dict[str, Tensor]:
    """OpenCLIP's vision tower (names without `visual.`) under transformers' names, without the projection."""
    return _cut(ldm.convert_clip(tensors, ""), layers)


def _cut(state: State, layers: int) -> dict[str, Tensor]:
    out = {}
    for name, tensor in state.items():
        block = re.search(r"encoder\.layers\.(\d+)\.", name)
        if not name.endswith("_projection.weight") and not (block and int(block[1]) >= layers):
            out[name] = tensor
    return out


def towers_names(state: State, wanted: Mapping[str, object]) -> dict[str, Tensor]:
    """A CLIP tower's tensors as this version of transformers names them, with or without its prefix."""
    prefix = next((p for p in ("text_model.", "vision_model.") if any(n.startswith(p) for n in wanted)), "")
    bare = {re.sub(r"^(text|vision)_model\.", "", name): tensor for name, tensor in state.items()}
    return {prefix + name: tensor for name, tensor in bare.items()}
