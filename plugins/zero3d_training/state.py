"""A training run's checkpoint: one safetensors file, written atomically; numbers and names only, no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from zero3d.errors import RunError
from zero3d.files import replacing
from zero3d.folder import RECIPE

NAME = "training.safetensors"
FORMAT = "2"


@dataclass(frozen=True)
class State:
    """Where the run stands: `step` steps of `stage` are done. `tensors`: module., average., optimizer., scaler. ..."""

    path: Path
    stage: str
    step: int
    tensors: dict[str, Tensor]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors of a prefix, without it."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}


def write(
    out: Path,
    stage: str,
    step: int,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer | None,
    average: Mapping[str, Tensor],
    scaler: Mapping[str, float],
) -> None:
    """Replace out/training.safetensors. `optimizer` is None before a stage's first step; `scaler`: that of fp16."""
    tensors = {f"average.{name}": value for name, value in average.items()}
    tensors |= {f"scaler.{name}": torch.tensor(value, dtype=torch.float64) for name, value in scaler.items()}
    for own, module in modules.items():
        tensors |= {f"module.{own}.{name}": value for name, value in module.state_dict().items()}
    if optimizer is not None:
        for index, entries in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in entries.items()}
    metadata = {"format": FORMAT, "stage": stage, "step": json.dumps(step)}
    # clones untie shared storage, which safetensors refuses
    plain = {n: v.detach().cpu().clone(memory_format=torch.contiguous_format) for n, v in tensors.items()}
    with replacing(out / NAME) as temporary:
        save_file(plain, temporary, metadata)


def is_training(out: Path) -> bool:
    """Whether a training began in `out`: there is a checkpoint, or before the first one its recipe."""
    if (out / NAME).is_file():
        return True
    try:
        recipe = yaml.safe_load((out / RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(recipe, dict) and {"dataset", "denoiser", "stages"} <= recipe.keys()


def read(out: Path) -> State | None:
    """The checkpoint in `out`; None if there is none: a run that was killed before its first one begins again.

    Raises:
        RunError: it is damaged, or of another format.
    """
    path = out / NAME
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path}: damaged ({error}); train again in another folder") from None
    if metadata.get("format") != FORMAT:
        raise RunError(f"{path}: format {metadata.get('format')!r}, this zero3d reads {FORMAT!r}")
    return State(path, metadata["stage"], int(metadata["step"]), tensors)


def restore_modules(state: State, modules: Mapping[str, nn.Module]) -> None:
    """Set the weights of all stages.

    Raises:
        RunError: the checkpoint is of other networks.
    """
    for name, module in modules.items():
        saved = state.part(f"module.{name}.")
        if {key: value.shape for key, value in saved.items()} != {k: v.shape for k, v in module.state_dict().items()}:
            raise RunError(f"{state.path}: holds other networks than this recipe's; train in another folder")
        module.load_state_dict(saved)


def restore_stage(state: State, optimizer: torch.optim.Optimizer, average: dict[str, Tensor]) -> None:
    """Set the optimizer's moments and the averaged weights of the stage under way; nothing before its first step."""
    if state.step == 0:
        return
    moments: dict[int, dict[str, Any]] = {}
    for name, value in state.part("optimizer.").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    for name, value in state.part("average.").items():
        average[name].copy_(value)
