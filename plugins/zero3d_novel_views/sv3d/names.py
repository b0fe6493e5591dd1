"""SV3D's tensor names -> diffusers'. Dictionaries of tensors; nothing is read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from zero3d.weights import ldm

State = Mapping[str, Tensor]

LABELS = {"label_emb.0.0.": "add_embedding.linear_1.", "label_emb.0.2.": "add_embedding.linear_2."}
POSITIONS = {"0": "linear_1", "2": "linear_2"}
PLACE = re.compile(r"(.*?(?:resnets|attentions)\.\d+)\.(.*)")


def unet_name(name: str) -> str:
    """One of the video U-Net's, by the original's without prefix."""
    label = next((old for old in LABELS if name.startswith(old)), None)
    if label:
        return LABELS[label] + name.removeprefix(label)
    made = ldm.unet_name(name)
    place = PLACE.match(made)
    if not place:
        return made
    where, rest = place.groups()
    if ".resnets." in where:
        return f"{where}.{_residual(rest)}"
    if rest.startswith("time_stack."):
        return f"{where}.temporal_transformer_blocks.{rest.removeprefix('time_stack.')}"
    positions = re.match(r"time_pos_embed\.(\d)\.(.*)", rest)
    return f"{where}.time_pos_embed.{POSITIONS[positions[1]]}.{positions[2]}" if positions else made


def _residual(rest: str) -> str:
    """In a block of two: over space, and over time."""
    if rest.startswith("time_stack."):
        inner = rest.removeprefix("time_stack.")
        old = next((old for old in ldm.RESNET if inner.startswith(old + ".")), "")
        return f"temporal_res_block.{ldm.RESNET.get(old, '')}{inner.removeprefix(old)}"
    return rest if rest.startswith("time_mixer.") else f"spatial_res_block.{rest}"


def vae_state(encoder: State, decoder: State) -> dict[str, Tensor]:
    """Those of diffusers' AutoencoderKLTemporalDecoder, from an image autoencoder's encoder and a video decoder.

    `encoder`: names "encoder.", "quant_conv."; `decoder`: "decoder.". What else there is is left out.
    """
    taken = {n: t for n, t in encoder.items() if n.startswith(("encoder.", "quant_conv."))}
    taken |= {n: t for n, t in decoder.items() if n.startswith("decoder.")}
    state = ldm.convert_vae({ldm.VAE + name: tensor for name, tensor in taken.items()})
    return {_decoder_name(name): tensor for name, tensor in state.items()}


def _decoder_name(name: str) -> str:
    place = PLACE.match(name)
    if not name.startswith("decoder."):
        return name
    if place and ".resnets." in place[1]:
        rest = "time_mixer.mix_factor" if place[2] == "mix_factor" else place[2]
        return f"{place[1]}.{_residual(rest)}"
    return name.replace("decoder.conv_out.time_mix_conv.", "decoder.time_conv_out.")


def vision_state(tensors: State) -> dict[str, Tensor]:
    """OpenCLIP's vision tower (names without `visual.`), with its projection."""
    return ldm.convert_clip(tensors, "")
