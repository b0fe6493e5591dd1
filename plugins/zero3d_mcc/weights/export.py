"""The published .pth -> the same tensors as safetensors, which are mapped, not unpickled."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from zero3d.weights import Conversion, check_new, new_folder, open_tensors
from zero3d_mcc.weights.known import FILE, LICENCE
from zero3d_mcc.weights.source import recognised


def convert(conversion: Conversion) -> bool:
    """Write a folder with the tensors of this file; False if it is not MCC's by its name, or by its tensors.

    Raises:
        RunError: `conversion.out` exists and is not empty, or cannot be written.
        RecipeError: the file is damaged.
    """
    if conversion.path.name != FILE and (
        not conversion.path.is_file() or recognised(open_tensors(conversion.path)) != "MCC"
    ):
        return False
    check_new(conversion.out)
    opened, dtype = open_tensors(conversion.path), getattr(torch, conversion.dtype)
    with new_folder(conversion.out) as folder:
        conversion.tell(f"{conversion.path.name} …")
        state = {name: opened[name].to(dtype).contiguous() for name in opened}
        save_file(state, folder / f"{Path(FILE).stem}.safetensors", {"format": "pt", "licence": LICENCE})
    return True
