"""The authors' single file -> a folder in the layout of ashawkey's conversion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d.weights import (
    Conversion,
    check_new,
    new_folder,
    save_image_processor,
    save_json,
    save_part,
    save_scheduler,
    save_tensors,
    save_tokenizer,
)
from zero3d_mvdream.weights.source import IMAGEDREAM, SingleFile
from zero3d_mvdream.weights.words import find_tokenizer, open_tokenizer

WHOLE = 2**40
"""Bytes of the largest file: the layout has one for each part."""
COMPONENTS = {
    "unet": ["mv_unet", "MultiViewUNetModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "image_encoder": ["transformers", "CLIPVisionModel"],
}


def convert(source: SingleFile, conversion: Conversion) -> None:
    """Write `conversion.out`, whole or not at all; the tokenizer if one is given.

    Raises:
        RunError: `conversion.out` exists and is not empty, or cannot be written.
        RecipeError: a part that does not fit its configuration, or no tokenizer where one is named.
    """
    check_new(conversion.out)
    words = find_tokenizer(conversion.tokenizer, None, False) if conversion.tokenizer else None
    if words:
        open_tokenizer(words)
    source.check()
    dtype: torch.dtype = getattr(torch, conversion.dtype)
    pictured = source.family == IMAGEDREAM
    index: dict[str, Any] = {"_class_name": "MVDreamPipeline", "_source": conversion.path.name}
    with new_folder(conversion.out) as folder:
        for part in source.parts:
            conversion.tell(f"{part} …")
            index[part] = COMPONENTS[part]
            if part == "unet":
                _save_unet(folder / part, source, dtype)
            else:
                save_part(folder / part, source.sketch(part), _published(part, source), dtype, WHOLE)
        save_scheduler(folder / "scheduler")
        index |= {"scheduler": ["diffusers", "DDIMScheduler"], "feature_extractor": [None, None]}
        if pictured:
            save_image_processor(folder / "feature_extractor", int(source.configs["image_encoder"]["image_size"]))
            index["feature_extractor"] = ["transformers", "CLIPImageProcessor"]
        else:
            index["image_encoder"] = [None, None]
        if words:
            save_tokenizer(folder / "tokenizer", words)
            index["tokenizer"] = ["transformers", "CLIPTokenizer"]
        save_json(folder / "model_index.json", {**index, "requires_safety_checker": False})


def _save_unet(folder: Path, source: SingleFile, dtype: torch.dtype) -> None:
    """In its authors' words and by their names, which that layout keeps."""
    config = dict(source.configs["unet"])
    if source.family != IMAGEDREAM:
        config.pop("ip_dim", None)
    folder.mkdir()
    save_json(folder / "config.json", {"_class_name": "MultiViewUNetModel", **config})
    save_tensors(folder, "diffusion_pytorch_model", source.tensors("unet"), dtype, WHOLE)


def _published(part: str, source: SingleFile) -> dict[str, Tensor]:
    """A part's tensors as folders name them: CLIP's text tower with its prefix."""
    prefix = "text_model." if part == "text_encoder" else ""
    return {prefix + name: tensor for name, tensor in source.state(part).items()}
