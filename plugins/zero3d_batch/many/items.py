"""What each of many runs is to be, checked before any begins."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zero3d import folder
from zero3d.errors import PictureError, RecipeError, RunError
from zero3d.recipe import load_recipe
from zero3d.registry import Registry
from zero3d_batch.many.rows import read_row

MOST_CHECKED = 64
"""So many different runs are built to see whether their parts fit, some tenths of a second each; of all others the keys and
values are read."""
NOT_COMPARED = ("out", "overwrite")


@dataclass(frozen=True)
class Item:
    """One run: its folder's name, the recipe's overrides that are its alone with `out` left out, those values in words, its
    picture, and the mapping that its recipe.yaml will hold."""

    name: str
    folder: Path
    overrides: tuple[str, ...]
    keys: Mapping[str, str]
    image: str | None
    source: Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """An item before its check."""

    name: str
    overrides: tuple[str, ...]
    keys: Mapping[str, str]
    image: str | None


def checked(recipe: str, registry: Registry, out: Path, common: Sequence[str], wanted: Sequence[Wanted]) -> list[Item]:
    """Hold recipe, keys and values of all runs against what is installed; a picture that cannot be read is no reason.

    Raises:
        UserError: one of them is wrong.
    """
    from zero3d.run import check, nothing_given

    sources: dict[tuple[str, ...], dict[str, Any]] = {}
    items = []
    for one in wanted:
        own = (*common, *one.overrides)
        if own not in sources:
            image = [] if one.image is None else [f"image={quoted(one.image)}"]
            loaded = load_recipe(recipe, registry, [*own, *image, f"out={quoted(str(out))}"])
            sources[own] = loaded.whole or loaded.source
            if not loaded.subject:
                raise RecipeError(nothing_given(loaded))
            if len(sources) <= MOST_CHECKED:
                with contextlib.suppress(PictureError):  # read last of all; the run will say so in its row
                    check(recipe, registry, [*own, *image, "out=null"])
        image_key = {} if one.image is None else {"image": one.image}
        source = {k: v for k, v in {**sources[own], **image_key}.items() if k not in NOT_COMPARED}
        items.append(Item(one.name, out / one.name, one.overrides, one.keys, one.image, source))
    return items


def quoted(text: str) -> str:
    """As a value of an override, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def state_of(place: Path, source: Mapping[str, Any], row: Path) -> str:
    """What lies there of a run with this mapping: "new", "half", "done"; else "other", a run with other keys."""
    kept = read_row(row) if (place / folder.RECIPE).is_file() else {}
    if kept.get("status") == "done" and kept.get("made_of") == digest(source):
        return "done"
    if not folder.read_manifest(place) or not (place / folder.RECIPE).is_file():
        return "new"
    if difference(place, source):
        return "other"
    images = source.get("images")
    labels = list(images) if isinstance(images, Mapping) else ["image"] * (source.get("image") is not None)
    if not folder.is_whole(place, labels):
        return "new"  # killed over its first files
    return "half"


def digest(source: Mapping[str, Any]) -> str:
    """Of a run's mapping: a row keeps it, which is read in no time beside a recipe.yaml."""
    return hashlib.sha256(json.dumps(source, sort_keys=True, default=str).encode()).hexdigest()


def difference(place: Path, source: Mapping[str, Any]) -> str:
    """The first key in which the run there has another value, with both; empty if all are the same."""
    try:
        there = yaml.safe_load((place / folder.RECIPE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return "its recipe.yaml cannot be read"
    if not isinstance(there, Mapping):
        return "its recipe.yaml is no mapping"
    return _difference("", {k: v for k, v in there.items() if k not in NOT_COMPARED}, source)


def _difference(key: str, there: Any, here: Any) -> str:
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        theirs, ours = ({str(k): v for k, v in own.items()} for own in (there, here))
        found = (
            _difference(f"{key}.{k}" if key else k, theirs.get(k), ours.get(k)) for k in dict.fromkeys([*ours, *theirs])
        )
        return next(filter(None, found), "")
    return "" if there == here else f"{key}: {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}[...]"


def refuse_others(items: Iterable[Item], states: Mapping[str, str], overrides: Sequence[str]) -> None:
    """Raises RunError if a run with other keys is in one's place, unless the overrides end in overwrite=true."""
    given = [own.partition("=")[2].strip().lower() for own in overrides if own.partition("=")[0] == "overwrite"]
    if given and given[-1] == "true":
        return
    for item in items:
        if states[item.name] == "other":
            raise RunError(
                f"out: {item.folder} was made with other keys ({difference(item.folder, item.source)}); take another out, "
                "or overwrite=true"
            )
