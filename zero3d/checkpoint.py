"""Atomic save and exact resume: one safetensors file: theta, optimizer moments, random streams, step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zero3d.engine import Engine
from zero3d.errors import RunError

NAME = "checkpoint/state.safetensors"
FORMAT = "1"


def save(engine: Engine, next_step: int, folder: Path) -> None:
    """Write `folder`/checkpoint/state.safetensors via a temporary file, so that a kill never leaves half of one."""
    tensors = {f"representation.{name}": value for name, value in engine.parts.representation.state_dict().items()}
    tensors |= {f"generator.{name}": value for name, value in engine.generators.state_dict().items()}
    scalars: dict[str, Any] = {}
    for index, state in engine.optimizer.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = value
    metadata = {
        "format": FORMAT,
        "next_step": str(next_step),
        "total_steps": str(engine.total_steps),
        "optimizer_scalars": json.dumps(scalars),
    }
    path = folder / NAME
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    # a scalar tensor is stored with its shape; clones untie shared storage, which safetensors refuses, as it does gaps
    plain = torch.contiguous_format
    save_file({n: value.detach().cpu().clone(memory_format=plain) for n, value in tensors.items()}, temporary, metadata)
    with open(temporary, "rb") as written:
        os.fsync(written.fileno())
    os.replace(temporary, path)


def load(engine: Engine, folder: Path) -> int:
    """Restore the engine's state and return the index of the next step.

    Raises:
        RunError: none there, truncated, of another format, or of another recipe.
    """
    tensors, metadata = read(folder)
    path = folder / NAME
    saved = {
        name.removeprefix("representation."): t for name, t in tensors.items() if name.startswith("representation.")
    }
    try:
        engine.parts.representation.load_state_dict(saved)
    except RuntimeError:
        raise RunError(
            f"{path}: holds another representation than recipe.yaml beside it; restore that recipe.yaml"
        ) from None
    prefix = "generator."
    engine.generators.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})
    _load_optimizer(engine.optimizer, tensors, json.loads(metadata["optimizer_scalars"]))
    return int(metadata["next_step"])


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The checkpoint's tensors and metadata.

    Raises:
        RunError: none there, truncated, or of another format.
    """
    path = folder / NAME
    if not path.is_file():
        raise RunError(f"{path}: no checkpoint; start the run again with overwrite=true")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size
        raise RunError(
            f"{path}: damaged or truncated ({size} bytes: {error}); run the recipe again with overwrite=true"
        ) from None
    if metadata.get("format") != FORMAT:
        raise RunError(
            f"{path}: format {metadata.get('format')!r}, this zero3d reads {FORMAT!r}; use the version in manifest.json"
        )
    return tensors, metadata


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], scalars: dict[str, Any]) -> None:
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    for name, value in scalars.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    for parameter, values in optimizer.state.items():  # laid out as its parameter: sums round as they did before
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                values[name] = torch.empty_like(parameter).copy_(value)
