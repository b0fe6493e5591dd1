"""What lies where in a run's folder, and in that of a run with stages."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError, RunError
from zero3d.recipe import read_yaml
from zero3d.recipe.stages import folder_names

RECIPE, MANIFEST, METRICS, PICTURE = "recipe.yaml", "manifest.json", "metrics.jsonl", "picture.png"
MADE_BY = "zero3d run"
UNMARKED = frozenset({"python", "platform", "packages", "plugins", "local_plugins", "components"})
"""The keys by which a manifest of a version that wrote no `made_by` is known."""
PICTURES = "pictures"
"""The folder of several pictures' copies."""
CHECKPOINT = "checkpoint/state.safetensors"


def picture_name(label: str, labels: Collection[str]) -> str:
    """Where a folder keeps the picture of that label: the only one as picture.png."""
    return PICTURE if len(labels) == 1 else f"{PICTURES}/{label}.png"


def read_manifest(folder: Path) -> dict[str, Any]:
    """A folder's manifest.json; empty where there is none of ours."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return found if found.get("made_by") == MADE_BY or found.keys() >= UNMARKED else {}


def is_whole(folder: Path, labels: Collection[str]) -> bool:
    """Whether all first files of a run with pictures of these labels are there."""
    names = [MANIFEST, RECIPE, *(picture_name(label, labels) for label in labels)]
    return all((folder / name).is_file() for name in names)


def open_run(folder: str | Path) -> Path:
    """The folder of an existing run; of a recipe with stages, that of the last one with a checkpoint, if any.

    Raises:
        RunError: it is none.
        RecipeError: its recipe cannot be read.
    """
    path = Path(folder)
    try:
        missing = [name for name in (RECIPE, MANIFEST) if not (path / name).is_file()]
        if missing:
            raise RunError(
                f"{path}: no run's folder (no {missing[0]}); name the folder that `zero3d run` wrote, its out"
            )
        if not read_manifest(path):
            raise RunError(f"{path}: its {MANIFEST} is none of a run; name the folder that `zero3d run` wrote")
        begun = [stage for stage in stage_folders(path) if (stage / CHECKPOINT).is_file()]
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"{str(path)!r}: cannot be read ({reason}); name the folder that `zero3d run` wrote") from None
    return begun[-1] if begun else path


def stage_folders(whole: Path) -> list[Path]:
    """The folders of a run's stages, in order, whether they are there yet or not; none where its recipe has none.

    Raises:
        RecipeError: its recipe cannot be read.
    """
    return [whole / name for name in folder_names(read_yaml(whole / RECIPE).get("stages"))]


def whole_run(folder: str | Path) -> Path:
    """The folder of all stages for that of one; any other as it is, whatever it is called."""
    path = Path(folder)
    above = path.absolute().parent
    try:
        is_stage = (above / MANIFEST).is_file() and path.absolute() in stage_folders(above)
    except (RecipeError, OSError, ValueError):
        return path
    return above if is_stage else path
