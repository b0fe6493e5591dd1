"""What a checkpoint or folder is, by the names and shapes in it: an error says what was given, not only what was
not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zero3d import RecipeError
from zero3d.weights import PickledTensors, SafeTensors
from zero3d.weights.ldm import CLIP, UNET

SD, IF, VARIATIONS = "Stable Diffusion", "DeepFloyd IF's first stage", "Image Variations"
PIPELINE_OF = {SD: "StableDiffusionPipeline", VARIATIONS: "StableDiffusionImageVariationPipeline"}
"""What diffusers calls the whole model."""
TEXT_1, TEXT_2 = "cond_stage_model.transformer.", "cond_stage_model.model."
FIRST, CONTEXT = f"{UNET}input_blocks.0.0.weight", f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
MARKS = {
    "conditioner.embedders.": "Stable Diffusion XL",
    f"{UNET}joint_blocks.": "Stable Diffusion 3",
    f"{UNET}double_blocks.": "Flux",
    "double_blocks.": "Flux",
    "cc_projection.": "Zero-1-to-3",
    f"{UNET}image_embed.": "ImageDream",
    f"{UNET}camera_embed.": "MVDream",
    "control_model.": "a ControlNet",
    "string_to_param": "a textual inversion",
    "time_embedding.linear_1.": "a U-Net alone",
    "encoder.conv_in.": "an autoencoder alone",
    "first_stage_model.": "an autoencoder alone",
    "visual.transformer.": "CLIP",
    "vision_model.": "CLIP",
    "text_model.": "CLIP's text tower alone",
}
"""A tensor's name begins so -> the family; the first that is found."""
LORA = ("lora_up", "lora_down", "lora_A", "lora_B", "lora.up", "lora.down", "lora_te", "lora_unet")
INPUTS = {
    5: "a depth-conditioned model",
    6: "a later stage of DeepFloyd IF",
    7: "an upscaler",
    8: "Zero-1-to-3 or InstructPix2Pix",
    9: "an inpainting model",
}
CONTEXTS = {2048: "Stable Diffusion XL", 1280: "Stable Diffusion XL's refiner"}
PIPELINES = {
    "StableDiffusionXL": "Stable Diffusion XL",
    "StableDiffusion3": "Stable Diffusion 3",
    "Flux": "Flux",
    "StableDiffusionInpaint": "an inpainting model",
    "StableDiffusionUpscale": "an upscaler",
    "Zero1to3": "Zero-1-to-3",
    "MVDream": "MVDream",
    "ImageDream": "ImageDream",
    "LDM3D": "LDM3D",
    "Zero123Plus": "Zero123++",
    "StableVideoDiffusion": "Stable Video Diffusion",
}
"""How model_index.json's _class_name begins."""


def family_of_file(tensors: PickledTensors | SafeTensors) -> str:
    """By the names of its tensors, and two shapes."""
    names = list(tensors)
    if any(mark in name for name in names for mark in LORA):
        return "a LoRA"
    for mark, family in MARKS.items():
        if mark != "first_stage_model." and any(name.startswith(mark) for name in names):
            return family
    if FIRST not in tensors:
        return MARKS["first_stage_model."] if any(n.startswith("first_stage_model.") for n in names) else "unknown"
    inputs = tensors[FIRST].shape[1]
    if inputs in INPUTS:
        return INPUTS[inputs]
    return VARIATIONS if any(name.startswith(CLIP) for name in names) else SD


def family_of_folder(root: Path, index: Mapping[str, Any], unet: Mapping[str, Any] | None) -> str:
    """By its index, its U-Net's configuration (None without one) and its subfolders."""
    named = str(index.get("_class_name", ""))
    for start, family in PIPELINES.items():
        if named.startswith(start):
            return family
    if unet is None:
        if (root / "adapter_config.json").is_file() or list(root.glob("pytorch_lora_weights.*")):
            return "a LoRA"
        return "a ControlNet" if "Controlnet" in str(index) else "unknown"
    inputs, context = unet.get("in_channels", 4), unet.get("cross_attention_dim", 1280)
    if "ramping_coefficients" in index:
        return "Zero123++"
    if "camera_embed_dim" in unet or "camera_dim" in unet or "MultiView" in str(unet.get("_class_name", "")):
        return "ImageDream" if unet.get("ip_dim") else "MVDream"
    if inputs == 8 and (root / "image_encoder").is_dir():
        return "Zero-1-to-3"
    if inputs in INPUTS:
        return INPUTS[inputs]
    if inputs == 3:
        return IF if unet.get("encoder_hid_dim") else "a model of pixels without text"
    if context in CONTEXTS:
        return CONTEXTS[context]
    pictured = (root / "image_encoder").is_dir() and not (root / "text_encoder").is_dir()
    return VARIATIONS if pictured or "ImageVariation" in named else SD


def check_family(where: str, found: str, wanted: str) -> None:
    """Raises RecipeError, with what it is, if the family is not the one wanted."""
    if found == wanted:
        return
    if found == "unknown":
        raise RecipeError(f"denoiser.weights: {where}: no {wanted}, nor anything else that is known here")
    raise RecipeError(
        f"denoiser.weights: {where} is {found}, not {wanted}; give weights of {wanted} (`zero3d weights list`)"
    )
