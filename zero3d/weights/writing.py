"""Writing a folder in diffusers' and transformers' layout, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from zero3d.errors import RunError
from zero3d.files import beside, cannot_write
from zero3d.weights.ldm import SCHEDULER_CONFIG

TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Of CLIP's pictures, RGB in [0, 1]: subtracted before its network (openai/CLIP)."""
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""And what they are then divided by."""
SHARD = "1GB"
"""Largest weight file: one is in memory at a time."""


def check_new(out: Path) -> None:
    """Raises RunError if `out` exists and is no empty folder."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RunError(f"{out}: is there already; name another folder or remove it")


@contextlib.contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A new folder beside `out` to fill in the block; when the block ends without an error it becomes `out`.

    Raises:
        RunError: `out` exists and is not empty.
        WriteError: no room, no permission, or another failure of the disk; nothing is left.
    """
    check_new(out)
    temporary = beside(out)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        if out.is_dir():
            out.rmdir()
        os.replace(temporary, out)
    except (OSError, SafetensorError) as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def save_part(
    folder: Path, module: Any, state: Mapping[str, Tensor], dtype: torch.dtype, shard: str | int = SHARD
) -> None:
    """A module of diffusers' or transformers': config.json as the module's (which may be on the meta device), and
    `state` in `dtype` as safetensors by the library's name."""
    folder.mkdir(parents=True, exist_ok=True)
    if hasattr(module, "save_config"):
        module.save_config(folder)
        save_tensors(folder, "diffusion_pytorch_model", state, dtype, shard)
    else:
        module.config.architectures = [type(module).__name__]
        module.config.save_pretrained(folder)
        save_tensors(folder, "model", state, dtype, shard)


def save_tensors(
    folder: Path, stem: str, state: Mapping[str, Tensor], dtype: torch.dtype, shard: str | int = SHARD
) -> None:
    """`state` as STEM.safetensors, in pieces with an index where it is larger than `shard`; numbers become `dtype`."""
    from huggingface_hub import save_torch_state_dict

    save_torch_state_dict(
        {name: _alone(t.to(dtype) if t.is_floating_point() else t) for name, t in state.items()},
        folder,
        filename_pattern=stem + "{suffix}.safetensors",
        max_shard_size=shard,
    )


def save_scheduler(folder: Path, prediction: str = "epsilon") -> None:
    """Stable Diffusion's noise levels as DDIM's scheduler_config.json. `prediction`: epsilon or v_prediction."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"_class_name": "DDIMScheduler", **SCHEDULER_CONFIG, "prediction_type": prediction}
    save_json(folder / "scheduler_config.json", config)


def save_tokenizer(folder: Path, source: Path) -> None:
    """Copies of CLIP's tokenizer's files, those that `source` has."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOKENIZER:
        if (source / name).is_file():
            (folder / name).write_bytes((source / name).read_bytes())


def save_image_processor(folder: Path, side: int) -> None:
    """How stock libraries make CLIP's picture of `side` pixels, preprocessor_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
    config = {
        "image_processor_type": "CLIPImageProcessor",
        **dict.fromkeys(steps, True),
        "size": {"shortest_edge": side},
        "crop_size": {"height": side, "width": side},
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": CLIP_MEAN,
        "image_std": CLIP_STD,
    }
    save_json(folder / "preprocessor_config.json", config)


def save_json(path: Path, content: Mapping[str, Any]) -> None:
    """A configuration, in a folder that is being made."""
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _alone(tensor: Tensor) -> Tensor:
    """A tensor that shares no memory with another, as safetensors wants it; copied only where it does."""
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
    return tensor if whole else tensor.contiguous().clone()
