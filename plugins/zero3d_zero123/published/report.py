"""What a file or folder of weights holds, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.weights import Choice, check_fit, local_files
from zero3d_zero123.published.layout import PARTS, Layout
from zero3d_zero123.published.original import Original, make_module


def report_file(path: Path, config_file: str) -> Iterator[str]:
    """Parts, sizes, EMA, training step of a checkpoint, and whether it fits the configuration."""
    source = Original(path, config_file, ema=False)
    step = source.tensors.step
    yield f"{path}: a Zero-1-to-3 checkpoint, {path.stat().st_size / 1e9:.2f} GB" + (
        f", step {step}" if step is not None else ""
    )
    yield f"pose vector by its name: {'Stable Zero123' if source.stable else 'Zero-1-to-3'}"
    averaged = Original(path, config_file).state("unet") if source.has_ema else None
    for part in (*PARTS, "cc_projection"):
        state = source.state(part)
        yield f"{part:14s}{_sizes(state)}  {_fits(source, part, state)}"
    yield f"{'unet EMA':14s}" + (f"{_sizes(averaged)}  taken unless ema is false" if averaged else "none")


def report_folder(path: Path) -> Iterator[str]:
    """Variants and configurations of a diffusers folder, and which would be taken."""
    layout = Layout(path, local_files(path), Choice())
    size = sum(file.stat().st_size for file in layout.weight_files)
    yield f"{path}: Zero-1-to-3 in diffusers' layout, {size / 1e9:.2f} GB to load"
    yield f"pose vector by its index or name: {'Stable Zero123' if layout.stable else 'Zero-1-to-3'}"
    for part in PARTS:
        yield f"{part:14s}variant {layout.variants[part] or '(default)'}"
    yield f"{'projection':14s}{layout.projection}"
    averaged = layout.index.get("_ema")
    yield f"{'EMA':14s}" + ("the folder does not say" if averaged is None else "yes" if averaged else "no")


def _sizes(state: Mapping[str, Tensor]) -> str:
    kinds = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in state.values())
    count = sum(tensor.numel() for tensor in state.values())
    return f"{len(state):5d} tensors {count:13,d} parameters {'/'.join(kinds)}"


def _fits(source: Original, part: str, state: Mapping[str, Tensor]) -> str:
    with torch.device("meta"):
        module = make_module(part, source.configs)
    try:
        check_fit(source.path, part, module, state)
    except RecipeError as error:
        return "does not fit: " + str(error).split(": ", 2)[-1]
    return "fits"
