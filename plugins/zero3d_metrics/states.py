"""State dicts of networks that the user points to, read without running what is pickled in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from zero3d import UserError


def read_state(file: Path, place: str, wanted: str) -> dict[str, Any]:
    """Name -> tensor of a safetensors or PyTorch file, of PyTorch's form from before 1.6 too.

    Raises:
        UserError: missing, damaged, or TorchScript; the line begins with `place` and says what is `wanted`.
    """
    if not file.is_file():
        raise UserError(f"{place} {file}: no such file; give {wanted}")
    if _is_torchscript(file):
        raise UserError(f"{place} {file}: is TorchScript, a program that loading would run; give {wanted}")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        return dict(state)
    except Exception as error:  # a damaged file fails in as many ways as there are readers
        raise UserError(
            f"{place} {file}: cannot be read as a state dict ({type(error).__name__}); give {wanted}"
        ) from None


def _is_torchscript(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False
