"""Which device a run is on."""

from __future__ import annotations

import torch

from zero3d.errors import RunError


def choose_device(name: str) -> torch.device:
    """`auto` takes CUDA, then the CPU; upper and lower case are one.

    Raises:
        RunError: unknown, or not to be had on this machine.
    """
    chosen = name.lower()
    if chosen == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = chosen.split(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise RunError(f"device: {name!r} is unknown; use auto, cpu, cuda or mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise RunError(f"device: {name!r}, but this PyTorch sees no CUDA device; use device=cpu")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise RunError(f"device: {name!r}, but this machine has no Metal device; use device=cpu")
    try:
        device = torch.device(chosen)
    except RuntimeError as error:
        raise RunError(f"device: {name!r}: {error}") from None
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if device.index is not None and device.index >= count:
        raise RunError(f"device: {name!r}, but this machine has {count}, counted from 0; use device={kind}")
    return torch.device("cpu") if kind == "cpu" else device
