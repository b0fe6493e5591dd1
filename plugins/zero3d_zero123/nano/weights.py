"""nano's weights in a file: safetensors of both networks, in half precision, or, as they ship, their matrices in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zero3d.errors import RunError
from zero3d.files import replacing
from zero3d.weights import impostor
from zero3d_zero123.nano.lift import Lift
from zero3d_zero123.nano.unet import UNet

EMBEDDED = Path(__file__).parent / "weights" / "nano.safetensors"
"""The weights that ship with the package."""
LIFT_NUMBERS, UNET_NUMBERS = 8_564_868, 1_815_276
"""How many each network has. To build both and count takes 40 ms of a check of a recipe."""
FORMAT = "2"
SCALES = ".scales"
"""Follows a matrix's name: what one unit of each of its rows is, (rows, 1) float32."""
BYTES, NUMBERS = "I8", ("F32", "F16", "BF16", "F64")
"""safetensors' words for the types of a matrix in bytes, and of all else."""
SMALLEST = 4096
"""Numbers of the smallest matrix that is kept in bytes: the small ones save nothing."""


def check(path: Path, networks: tuple[Lift, UNet] | None = None) -> None:
    """Hold a file's table of contents against nano's two networks (new ones, if none are given); no tensor is read.

    Raises:
        RunError: no such file, damaged, or not nano's: a tensor missing, left over, or of another shape or type.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such weights; install zero3d again, or train them: zero3d train train-nano")
    try:
        found = impostor(path)
        if found:
            raise RunError(f"{path} {found}")
        with safe_open(path, framework="pt") as file:
            version = (file.metadata() or {}).get("format")
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            there = {name: (tuple(part.get_shape()), part.get_dtype()) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged ({error}); install zero3d again, or train anew") from None
    if version != FORMAT:
        raise RunError(f"{path}: format {version!r}, this zero3d reads {FORMAT!r}; take `nano`'s own, or train anew")
    with torch.random.fork_rng(devices=[]):
        named = _named(*(networks or (Lift(), UNet())))
    wanted = {p + name: tuple(value.shape) for p, network in named for name, value in network.state_dict().items()}
    wrong = _misfit(wanted, there)
    if wrong:
        raise RunError(f"{path}: {wrong}; it is another network's, or damaged: take `nano`'s own, or train anew")


def _misfit(wanted: Mapping[str, tuple[int, ...]], there: Mapping[str, tuple[tuple[int, ...], str]]) -> str:
    """The first tensor of a table of contents that is not as it must be; "" if all are."""
    for name, shape in wanted.items():
        found, kind = there.get(name, ("missing", ""))
        if found != shape:
            return f"{name} is {found}, not {shape}"
        scales = there.get(name + SCALES)
        if kind == BYTES and (scales is None or scales[0] != (shape[0], 1) or scales[1] not in NUMBERS):
            return f"{name} is in bytes, and {name + SCALES} is {scales or 'missing'}, not {(shape[0], 1)} {NUMBERS[0]}"
        if kind != BYTES and (kind not in NUMBERS or scales is not None):
            return f"{name} is of {kind}{' with scales' if scales else ''}; {BYTES} with scales, or {'/'.join(NUMBERS)}"
    over = sorted(there.keys() - wanted.keys() - {name + SCALES for name in wanted})
    return f"{over[0]} is no tensor of nano's" if over else ""


def read(path: Path, lift: Lift, unet: UNet) -> None:
    """Fill both networks.

    Raises:
        RunError: no such file, damaged, or not nano's; a weight is nan or inf.
    """
    check(path, (lift, unet))
    tensors = load_file(path)
    for prefix, network in _named(lift, unet):
        names = list(network.state_dict())
        state = {name: _whole(tensors[prefix + name], tensors.get(prefix + name + SCALES)) for name in names}
        for name, value in state.items():
            if not torch.isfinite(value).all():
                raise RunError(f"{path}: {prefix}{name} holds nan or inf; take `nano`'s own, or train anew")
        network.load_state_dict(state)


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
