"""Recipes by name: those that come with zero3d, from any folder."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError, did_you_mean

ENDINGS = (".yaml", ".yml")
LONGEST = 40
"""Characters of a picture's or a prompt's part in a run's name."""


def recipes() -> dict[str, Path]:
    """Name -> file of every recipe that came with zero3d: a wheel's `zero3d/recipes`, or the checkout's `recipes`."""
    own = Path(__file__).resolve().parents[1]
    checkout = own.parent / "recipes" if (own.parent / "pyproject.toml").is_file() else own
    folder = next((place for place in (own / "recipes", checkout) if place.is_dir()), own)
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def is_path(given: str | Path) -> bool:
    """Whether this means a file: it has a separator, or a recipe's ending. All else is a recipe's name."""
    separators = filter(None, (os.sep, os.altsep))
    return not isinstance(given, str) or given.endswith(ENDINGS) or any(one in given for one in separators)


def recipe_file(given: str | Path) -> Path:
    """The file of a recipe given by its name ("nano") or its path, which need not be there.

    Raises:
        RecipeError: no recipe is called so.
    """
    if is_path(given):
        return Path(given)
    known = recipes()
    if given in known:
        return known[str(given)]
    beside = f" A file of that name is given as .{os.sep}{given}." if Path(str(given)[:255]).is_file() else ""
    raise RecipeError(
        f"{given!r}: no such recipe.{did_you_mean(str(given), known)}{beside} `zero3d recipes` says what each needs; "
        "a file's name ends in .yaml"
    )


def run_name(title: str, source: Mapping[str, Any]) -> str:
    """What a run is called where nobody names its folder: the recipe's title and its picture, or its prompt.

    `source`: the recipe's mapping.
    """
    picture = source.get("image") or source.get("images")
    subject = _subject(picture) if picture else str(source.get("prompt") or "")
    return "-".join(filter(None, (_slug(title), _slug(subject)))) or "run"


def _subject(picture: Any) -> str:
    """What a picture is called: {path: ...}, {type: text, prompt: ...}, a folder, or the first of several labels."""
    if not isinstance(picture, Mapping):
        return Path(str(picture)).stem
    if "prompt" in picture:
        return str(picture["prompt"])
    return _subject(picture.get("path") or next(iter(picture.values()), ""))


def _slug(text: str) -> str:
    """The first of its words that fit, fit to be a folder's name on any system."""
    kept = ""
    for word in re.findall(r"[^\W_]+(?:_[^\W_]+)*", text):
        if kept and len(kept) + 1 + len(word) > LONGEST:
            break
        kept = f"{kept}-{word}" if kept else word[:LONGEST]
    return kept
