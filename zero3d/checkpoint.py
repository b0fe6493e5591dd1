"""Atomic save and exact resume: one safetensors file: theta, optimizer moments, random streams, step."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zero3d.engine import Engine
from zero3d.errors import RunError
from zero3d.files import cannot_write, replacing
from zero3d.folder import CHECKPOINT, RECIPE

NAME = CHECKPOINT
FORMAT = "1"
STATE = "state."
"""Before "KEY/NAME" of what a component remembers, KEY being its place in the recipe."""


def save(engine: Engine, next_step: int, folder: Path) -> None:
    """Write `folder`/checkpoint/state.safetensors via a temporary file, so that a kill never leaves half of one.

    Raises:
        StepError: the last updates made the representation nan or inf; the file is as it was.
        RunError: a component's state cannot be kept.
    """
    engine.optimizer.check_finite(next_step - 1)
    tensors = {f"representation.{name}": value for name, value in engine.parts.representation.state_dict().items()}
    tensors |= {f"generator.{name}": value for name, value in engine.generators.state_dict().items()}
    values: dict[str, dict[str, Any]] = {}
    for key, component in engine.parts.components():
        for name, value in component.state_dict().items():
            if isinstance(value, Tensor):
                tensors[f"{STATE}{key}/{name}"] = value
            else:
                values.setdefault(key, {})[name] = value
    scalars: dict[str, Any] = {}
    for index, state in engine.optimizer.state_dict().items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{name}"] = value
            else:
                scalars[f"{index}.{name}"] = value
    for key, own in values.items():
        try:
            json.dumps(own)
        except (TypeError, ValueError) as error:
            raise RunError(
                f"{key}: its state cannot be kept ({error}); state_dict() gives tensors and JSON values"
            ) from None
    metadata = {
        "format": FORMAT,
        "next_step": str(next_step),
        "total_steps": str(engine.total_steps),
        "optimizer_scalars": json.dumps(scalars),
        "state": json.dumps(values),
    }
    path = folder / NAME
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
    # a scalar tensor is stored with its shape; clones untie shared storage, which safetensors refuses, as it does gaps
    plain = torch.contiguous_format
    whole = {name: value.detach().cpu().clone(memory_format=plain) for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(whole, temporary, metadata)


def load(engine: Engine, folder: Path, states: bool = False) -> int:
    """Restore the engine's state and return the index of the next step.

    Raises:
        RunError: none there, truncated, of another format, or of another recipe.
    """
    tensors, metadata = read(folder)
    path = folder / NAME
    saved = {
        name.removeprefix("representation."): t for name, t in tensors.items() if name.startswith("representation.")
    }
    next_step, scalars = _next_step(path, metadata), _scalars(path, metadata)
    if next_step > engine.total_steps:
        raise RunError(
            f"{path}: has done {next_step} steps, recipe.yaml has {engine.total_steps}; restore that recipe.yaml"
        )
    numbers = {name: t for name, t in tensors.items() if name.startswith(("representation.", "optimizer."))}
    broken = [name for name, t in numbers.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if broken:
        raise RunError(f"{path}: {broken[0]} holds nan or inf; {_elsewhere(folder)}")
    try:
        engine.parts.representation.load_state_dict(saved)
    except RuntimeError:
        raise RunError(
            f"{path}: holds another representation than recipe.yaml beside it; restore that recipe.yaml"
        ) from None
    prefix = "generator."
    streams = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    try:
        engine.generators.load_state_dict(streams)
        engine.optimizer.load_state_dict(_optimizer_state(tensors, scalars))
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        raise RunError(
            f"{path}: its random streams or moments are no state of this run ({error}); {_elsewhere(folder)}"
        ) from None
    if states:
        _load_states(engine, path, tensors, _values(path, metadata))
    return next_step


def steps_done(folder: Path) -> int:
    """How many steps the checkpoint's run has done.

    Raises:
        RunError: as `read`.
    """
    return _next_step(folder / NAME, read(folder)[1])


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The checkpoint's tensors and metadata.

    Raises:
        RunError: none there, not to be read, truncated, or of another format.
    """
    path = folder / NAME
    try:
        open(path, "rb").close()
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{path}: no checkpoint yet; go on with: zero3d resume {folder}") from None
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); allow reading it") from None
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError) as error:
        size = path.stat().st_size
        raise RunError(f"{path}: damaged or truncated ({size} bytes: {error}); {_elsewhere(folder)}") from None
    if metadata.get("format") != FORMAT:
        found = str(metadata.get("format"))[:40]
        raise RunError(
            f"{path}: format {found!r}, this zero3d reads {FORMAT!r}; use the version in manifest.json beside it"
        )
    return tensors, metadata


def _elsewhere(folder: Path) -> str:
    """The advice when a run's state is lost: nothing that is left of it goes."""
    return f"start again in another folder: zero3d run {folder / RECIPE} out=NEW"


def _next_step(path: Path, metadata: dict[str, str]) -> int:
    text = metadata.get("next_step", "")
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise RunError(f"{path}: next_step {text[:40]!r} is no number of steps; {_elsewhere(path.parents[1])}")
    return int(text)


def _scalars(path: Path, metadata: dict[str, str]) -> dict[str, float]:
    """What the optimizer keeps beside tensors: "index.name" -> number."""
    text = metadata.get("optimizer_scalars", "")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    good = isinstance(found, dict) and all(isinstance(value, int | float) for value in found.values())
    if not good:
        raise RunError(f"{path}: optimizer_scalars {text[:40]!r} is no map of numbers; {_elsewhere(path.parents[1])}")
    return dict(found)


def _values(path: Path, metadata: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What components remember beside tensors: key in the recipe -> name -> value."""
    try:
        found = json.loads(metadata.get("state", "{}"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise RunError(f"{path}: state is no map of what parts remember; {_elsewhere(path.parents[1])}")
    return dict(found)


def _optimizer_state(tensors: dict[str, Tensor], scalars: dict[str, Any]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".", 2)
            state.setdefault(int(index), {})[key] = value
    for name, value in scalars.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    return state


def _load_states(engine: Engine, path: Path, tensors: dict[str, Tensor], values: dict[str, dict[str, Any]]) -> None:
    """Give every component what it remembered."""
    states = {key: dict(own) for key, own in values.items()}
    for full, value in tensors.items():
        if full.startswith(STATE):
            key, _, name = full.removeprefix(STATE).partition("/")
            states.setdefault(key, {})[name] = value
    for key, component in engine.parts.components():
        state = states.pop(key, None)
        try:
            if state is not None:
                component.load_state_dict(state)
        except (ValueError, TypeError, LookupError, RuntimeError) as error:
            raise RunError(f"{path}: what {key} remembered does not fit recipe.yaml beside it: {error}") from None
    lost = sorted(key for key in states if not key.startswith("observers."))  # `resume RUN observers.NAME=null`
    if lost:
        raise RunError(f"{path}: holds what {', '.join(lost)} remembered, which recipe.yaml beside it lacks")
