"""How large things are: of a denoiser without loading it, and in words."""

from __future__ import annotations

import math
from pathlib import Path

import torch

from zero3d.interfaces import Denoiser


def denoiser_size(denoiser: Denoiser, device: torch.device) -> tuple[int, int] | None:
    """Parameters, and bytes once loaded (at most, four each), as the denoiser or its files' headers say; None if unknown.

    A denoiser without files has none.
    """
    told = denoiser.size(device)
    if told is not None:
        return told
    files = denoiser.weight_files()
    if not all(path.suffix == ".safetensors" and path.is_file() for path in files):
        return None
    count = sum(numbers_in(path) for path in files)
    return count, 4 * count


def numbers_in(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (not a dict)


def in_bytes(count: int) -> str:
    """2_000_000 -> "1.9 MiB"."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
