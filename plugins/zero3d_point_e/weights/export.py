"""The published .pt files -> the same tensors as safetensors, which are mapped, not unpickled."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from zero3d.weights import Conversion, check_new, new_folder, open_tensors
from zero3d_point_e.weights.known import FILES
from zero3d_point_e.weights.source import recognised

CONSTANTS = ("channel_scales", "channel_biases")
"""Of the upsampler: numbers of the method, which half precision would round."""


def convert(conversion: Conversion) -> bool:
    """Write a folder with this file and the published ones that lie beside it, since a model takes three; False if
    `conversion.path` is no file of Point-E's by its name, or by its tensors.

    Raises:
        RunError: `conversion.out` exists and is not empty, or cannot be written.
        RecipeError: a file is damaged.
    """
    if conversion.path.name not in FILES.values() and not recognised(open_tensors(conversion.path)):
        return False
    check_new(conversion.out)
    beside = [conversion.path.with_name(file) for file in FILES.values() if file != conversion.path.name]
    with new_folder(conversion.out) as folder:
        for path in [conversion.path, *(path for path in beside if path.is_file())]:
            conversion.tell(f"{path.name} …")
            _convert(path, folder, getattr(torch, conversion.dtype))
    return True


def _convert(path: Path, folder: Path, dtype: torch.dtype) -> None:
    opened = open_tensors(path)
    state = {name: opened[name].to(torch.float32 if name in CONSTANTS else dtype).contiguous() for name in opened}
    save_file(state, folder / f"{path.stem}.safetensors", {"format": "pt"})
