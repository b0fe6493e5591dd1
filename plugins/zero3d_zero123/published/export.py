"""An original checkpoint -> a folder of parts that stock diffusers and transformers load."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d.weights import check_fit, check_new, new_folder, save_json, save_part, save_scheduler, save_tensors
from zero3d_zero123.published.layout import PARTS
from zero3d_zero123.published.original import Original, make_module

COMPONENTS = {
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "cc_projection": ["pipeline_zero1to3", "CCProjection"],
}


def convert(source: Original, out: Path, dtype: torch.dtype, stable: bool, tell: Callable[[str], None]) -> None:
    """Write `out` whole or not at all. `stable`: whether the pose vector is Stable Zero123's; the index keeps it.

    Raises:
        RunError: `out` exists and is not empty.
        RecipeError: the checkpoint does not fit its configuration; nothing is written.
    """
    check_new(out)
    sketches = {}
    for part in (*PARTS, "cc_projection"):
        with torch.device("meta"):
            sketches[part] = make_module(part, source.configs)
        check_fit(source.path, part, sketches[part], source.state(part))
    index = {"_ema": source.ema, "_pose": "stable" if stable else "zero123", "_source": source.path.name}
    write_folder(out, sketches, source.state, dtype, index, tell)


def write_folder(
    out: Path,
    sketches: Mapping[str, Any],
    state: Callable[[str], Mapping[str, Tensor]],
    dtype: torch.dtype,
    index: Mapping[str, Any],
    tell: Callable[[str], None],
) -> None:
    """Write `out`, new or empty, whole or not at all: the parts' configurations as of `sketches`, their tensors of `state`.

    `index`: entries of ours for model_index.json, which begin with an underscore, so that diffusers passes over them.

    Raises:
        RunError: `out` exists and is not empty, or cannot be written (WriteError).
    """
    with new_folder(out) as temporary:
        for part, sketch in sketches.items():
            tell(f"{part} …")
            if part == "cc_projection":
                _save_projection(temporary / part, sketch, state(part), dtype)
            else:
                save_part(temporary / part, sketch, state(part), dtype)
        save_scheduler(temporary / "scheduler")
        own = {"_class_name": "Zero1to3StableDiffusionPipeline", **index}
        save_json(temporary / "model_index.json", {**own, **COMPONENTS})


def _save_projection(folder: Path, sketch: Any, state: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    folder.mkdir()
    width = sketch.out_features
    save_json(folder / "config.json", {"_class_name": "CCProjection", "in_channel": width + 4, "out_channel": width})
    named = {f"projection.{name}": tensor for name, tensor in state.items()}
    save_tensors(folder, "diffusion_pytorch_model", named, dtype)
