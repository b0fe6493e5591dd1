"""An original checkpoint -> a folder of parts that stock diffusers and transformers load."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zero3d.errors import RunError
from zero3d.files import beside
from zero3d.weights import check_fit
from zero3d_zero123.published.configs import SCHEDULER
from zero3d_zero123.published.layout import PARTS
from zero3d_zero123.published.original import Original, make_module

SHARD = "1GB"
"""Largest weight file: one is in memory at a time."""
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
    _check_new(out)
    sketches = {}
    for part in (*PARTS, "cc_projection"):
        with torch.device("meta"):
            sketches[part] = make_module(part, source.configs)
        check_fit(source.path, part, sketches[part], source.state(part))
    index = {"_ema": source.ema, "_pose": "stable" if stable else "zero123", "_source": source.path.name}
    write_folder(out, sketches, source.state, dtype, index, tell)


def _check_new(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; name another folder or remove it")


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
        RunError: `out` exists and is not empty, or cannot be written.
    """
    _check_new(out)
    temporary = beside(out)
    try:
        for part, sketch in sketches.items():
            tell(f"{part} …")
            _write_part(temporary / part, part, sketch, state(part), dtype)
        _write_scheduler(temporary / "scheduler")
        own = {"_class_name": "Zero1to3StableDiffusionPipeline", **index}
        _write_json(temporary / "model_index.json", {**own, **COMPONENTS})
        if out.is_dir():
            out.rmdir()
        os.replace(temporary, out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written ({error}); free some space or name another folder") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_part(folder: Path, part: str, sketch: Any, state: Mapping[str, Tensor], dtype: torch.dtype) -> None:
    from huggingface_hub import save_torch_state_dict

    folder.mkdir(parents=True)
    if part == "image_encoder":
        sketch.config.architectures = [type(sketch).__name__]
        sketch.config.save_pretrained(folder)
    elif part == "cc_projection":
        width = sketch.out_features
        _write_json(
            folder / "config.json", {"_class_name": "CCProjection", "in_channel": width + 4, "out_channel": width}
        )
        state = {f"projection.{name}": tensor for name, tensor in state.items()}
    else:
        sketch.save_config(folder)
    stem = "model" if part == "image_encoder" else "diffusion_pytorch_model"
    save_torch_state_dict(
        {name: _alone(tensor.to(dtype)) for name, tensor in state.items()},
        folder,
        filename_pattern=stem + "{suffix}.safetensors",
        max_shard_size=SHARD,
    )


def _alone(tensor: Tensor) -> Tensor:
    """A tensor that shares no memory with another, as safetensors wants it; copied only where it does."""
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.contiguous().clone()


def _write_scheduler(folder: Path) -> None:
    from diffusers import DDIMScheduler

    scheduler: Any = DDIMScheduler(**SCHEDULER)
    scheduler.save_pretrained(folder)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
