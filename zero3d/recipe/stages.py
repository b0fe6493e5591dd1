"""A recipe's stages: one mapping of keys for each, made of the recipe's own and what the stage changes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError
from zero3d.files.labels import check_label

WHOLE = ("image", "images", "out", "overwrite", "stages")
"""Keys that a stage cannot have: they are the whole recipe's."""


def split_stages(whole: Mapping[str, Any], name: str, maps: Collection[str]) -> dict[str, dict[str, Any]]:
    """Place ("file: stages.label") -> the stage's mapping, in order; its `out` is a folder in the whole's.

    A stage's keys are laid over the recipe's block by block and option by option; a block that names its type is complete,
    and `null` removes one. `name`: the file. `maps`: the keys that map labels to blocks.

    Raises:
        RecipeError: no map of stages, or a stage with a key that is the whole recipe's.
    """
    stages = whole["stages"]
    if not isinstance(stages, Mapping) or all(own is None for own in stages.values()):
        raise RecipeError(f"{name}: stages: {stages!r} is no map of stages; write label: {{key: value}}")
    found: dict[str, dict[str, Any]] = {}
    for label, own in stages.items():
        place = f"{name}: stages.{label}"
        if own is None:
            continue
        check_label(label, f"{name}: stages")
        if not isinstance(own, Mapping):
            raise RecipeError(f"{place}: {own!r}; a stage is a word and a map of the keys that it changes")
        for key in set(WHOLE) & set(own):
            raise RecipeError(f"{place}.{key}: belongs to the whole recipe; write it beside stages")
        stage = {key: value for key, value in whole.items() if key != "stages"}
        stage |= {str(key): _laid_over(stage.get(key), value, key in maps) for key, value in own.items()}
        if stage.get("out"):
            stage["out"] = str(Path(str(stage["out"])) / folder_names(stages)[len(found)])
        found[place] = stage
    return found


def folder_names(stages: Any) -> list[str]:
    """What the folders of a recipe's `stages` are called, in order; none where that is no map."""
    labels = [label for label, own in stages.items() if own is not None] if isinstance(stages, Mapping) else []
    return [f"{number}-{label}" for number, label in enumerate(labels, 1)]


def _laid_over(former: Any, own: Any, labelled: bool) -> Any:
    """`labelled`: not a block, but a map of blocks."""
    if not isinstance(former, Mapping) or not isinstance(own, Mapping) or (not labelled and "type" in own):
        return own
    if labelled:
        own = {label: _laid_over(former.get(label), block, False) for label, block in own.items()}
    return {**former, **own}
