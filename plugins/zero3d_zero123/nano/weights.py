"""nano's weights in a file: safetensors, half precision, both networks."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from zero3d.errors import RunError
from zero3d_zero123.nano.lift import Lift
from zero3d_zero123.nano.unet import UNet

EMBEDDED = Path(__file__).parent / "weights" / "nano.safetensors"
"""The weights that ship with the package."""
FORMAT = "1"


def read(path: Path, lift: Lift, unet: UNet) -> None:
    """Fill both networks.

    Raises:
        RunError: no such file, damaged, or not nano's.
    """
    if not path.is_file():
        raise RunError(
            f"{path}: no such weights; install zero3d again, or train them: zero3d train recipes/train-nano.yaml"
        )
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("format")
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged ({error}); install zero3d again, or train anew") from None
    if found != FORMAT:
        raise RunError(f"{path}: format {found!r}, this zero3d reads {FORMAT!r}")
    for prefix, network in _named(lift, unet):
        own = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        network.load_state_dict(own)


def write(path: Path, lift: Lift, unet: UNet) -> None:
    """Write both networks, rounded to half precision, via a temporary file."""
    tensors = {
        prefix + name: value.detach().to("cpu", torch.float16).contiguous()
        for prefix, network in _named(lift, unet)
        for name, value in network.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, {"format": FORMAT, "model": "zero3d nano", "license": "Apache-2.0"})
    os.replace(temporary, path)


def _named(lift: Lift, unet: UNet) -> tuple[tuple[str, nn.Module], ...]:
    return ("lift.", lift), ("unet.", unet)
