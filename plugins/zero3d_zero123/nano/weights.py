"""nano's weights in a file: safetensors of both networks, in half precision, or, as they ship, their matrices in bytes."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from zero3d.errors import RunError
from zero3d.files import replacing
from zero3d_zero123.nano.lift import Lift
from zero3d_zero123.nano.unet import UNet

EMBEDDED = Path(__file__).parent / "weights" / "nano.safetensors"
"""The weights that ship with the package."""
FORMAT = "2"
SCALES = ".scales"
"""Follows a matrix's name: what one unit of each of its rows is, (rows, 1) float32."""
SMALLEST = 4096
"""Numbers of the smallest matrix that is kept in bytes: the small ones save nothing."""


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
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged ({error}); install zero3d again, or train anew") from None
    if found != FORMAT:
        raise RunError(f"{path}: format {found!r}, this zero3d reads {FORMAT!r}; take `nano`'s own, or train anew")
    for prefix, network in _named(lift, unet):
        own = {name: value for name, value in tensors.items() if name.startswith(prefix) and not name.endswith(SCALES)}
        network.load_state_dict(
            {name.removeprefix(prefix): _whole(value, tensors.get(name + SCALES)) for name, value in own.items()}
        )


def write(path: Path, lift: Lift, unet: UNet, in_bytes: bool = False) -> None:
    """Write both networks via a temporary file, rounded to half precision; `in_bytes`: half as large, see `_in_bytes`."""
    rounded = _in_bytes if in_bytes else _halved
    tensors: dict[str, Tensor] = {}
    for prefix, network in _named(lift, unet):
        for name, value in network.state_dict().items():
            tensors |= rounded(prefix + name, value.detach().cpu().contiguous())
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file(tensors, temporary, {"format": FORMAT, "model": "zero3d nano", "license": "Apache-2.0"})


def _halved(name: str, value: Tensor) -> dict[str, Tensor]:
    return {name: value.half()}


def _in_bytes(name: str, value: Tensor) -> dict[str, Tensor]:
    """A matrix in whole numbers, with scales that make a row's largest 127: to half of a 127th of that. The rest halved."""
    if value.ndim < 2 or value.numel() < SMALLEST:
        return _halved(name, value)
    rows = value.flatten(1)
    scales = rows.abs().amax(dim=1, keepdim=True).clamp(min=1e-12) / 127
    return {name: (rows / scales).round().to(torch.int8).reshape(value.shape), name + SCALES: scales}


def _whole(value: Tensor, scales: Tensor | None) -> Tensor:
    return value.float() if scales is None else (value.flatten(1) * scales).reshape(value.shape)


def _named(lift: Lift, unet: UNet) -> tuple[tuple[str, nn.Module], ...]:
    return ("lift.", lift), ("unet.", unet)
