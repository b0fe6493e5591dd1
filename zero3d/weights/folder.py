"""Folders in diffusers' layout: a subfolder a part, with config.json and weights, some in several variants."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError

WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_model|model|pytorch_model)(?:\.(?P<a>\w+))?(?:-\d+-of-\d+)?(?:\.(?P<b>\w+))?\.(?:safetensors|bin)"
)
"""A weight file's name; its variant stands before or after the number of a shard."""


@dataclass(frozen=True)
class Choice:
    """Which of a folder's files to take. `variant`: named by the user, or empty to be found from `ema` and `half`."""

    ema: bool = True
    half: bool = False
    variant: str = ""


def local_files(root: Path) -> list[str]:
    """The files of a folder on this machine, relative to it."""
    return sorted(path.relative_to(root).as_posix() for path in root.glob("*/*") if path.is_file())


def variants(part: str, listed: list[str]) -> dict[str, list[str]]:
    """Variant ("" for none) -> the weight files of a part; safetensors win over .bin."""
    found: dict[str, dict[str, list[str]]] = {}
    for name in listed:
        folder, _, file = name.partition("/")
        match = WEIGHTS.fullmatch(file) if folder == part else None
        if match:
            kinds = found.setdefault(match["a"] or match["b"] or "", {})
            kinds.setdefault(file.rsplit(".", 1)[-1], []).append(name)
    return {variant: kinds.get("safetensors") or kinds["bin"] for variant, kinds in found.items()}


def choose(place: Path, found: set[str], choice: Choice, part: str) -> str:
    """The variant of one part: as named, else by EMA (the U-Net alone has both), then by precision.

    Raises:
        RecipeError: no such variant of the U-Net, or EMA weights alone where the raw ones are wanted.
    """
    if choice.variant:
        if choice.variant in found:
            return choice.variant
        if part == "unet" or not found:
            names = ", ".join(sorted(name or "the default" for name in found))
            raise RecipeError(f"denoiser.variant: {choice.variant!r} is not in {place}; it has {names}")
    averaged = {name for name in found if "ema" in name.lower() and "non_ema" not in name.lower()}
    if not choice.ema and not found - averaged:
        raise RecipeError(f"denoiser.ema: false, but {place} has EMA weights alone; set denoiser.ema=true")
    pool = averaged if choice.ema and averaged else found - averaged
    return min(pool, key=lambda name: (("fp16" in name) != choice.half, len(name), name))


def part_config(root: Path, part: str, place: str = "denoiser.weights", file: str = "config.json") -> dict[str, Any]:
    """The configuration of a folder's part.

    Raises:
        RecipeError: it is missing, or no JSON object.
    """
    path = root / part / file
    if not path.is_file():
        raise RecipeError(f"{place}: {root / part}: {file} missing; download the whole model")
    return read_json(path, place)


def index_of(root: Path, place: str = "denoiser.weights") -> dict[str, Any]:
    """Its model_index.json; empty if there is none."""
    path = root / "model_index.json"
    return read_json(path, place) if path.is_file() else {}


def read_json(path: Path, place: str = "denoiser.weights") -> dict[str, Any]:
    """A file's JSON object.

    Raises:
        RecipeError: it cannot be read, or is none.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise RecipeError(f"{place}: {path}: no valid JSON; download it again")
    return config
