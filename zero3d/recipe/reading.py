"""YAML and key=value overrides -> a plain mapping. Nothing that a file may hold costs more than its size."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zero3d.errors import RecipeError, did_you_mean
from zero3d.files.recipe_names import recipe_file, recipes

LARGEST_FILE = 2**20
"""Bytes of a recipe."""
MOST_NODES, DEEPEST, LONGEST_TEXT = 50_000, 32, 10_000
"""Bounds of a mapping, aliases written out: values in all, maps within each other, characters of one text."""


@dataclass(frozen=True)
class RecipeText:
    """A recipe that stands in no file; `name` begins its errors."""

    name: str
    text: str

    def __str__(self) -> str:
        return self.name


def read_yaml(file: str | Path | RecipeText, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML mapping with `key.path=value` overrides; a map given as an override replaces, it does not merge.

    `file`: a path, or the name of a recipe that came with zero3d (see `recipe_file`).
    Values are null, bool, int (of 64 bits), float, str, list and dict alone; interpolations are resolved.

    Raises:
        RecipeError: no such file, no valid YAML, no mapping, a value that is none of these or is too large, a required
            one that is not given (`???`), or an override without "=".
    """
    from omegaconf import OmegaConf  # slow to import, see zero3d.recipe.schema
    from omegaconf.errors import OmegaConfBaseException

    text = file.text if isinstance(file, RecipeText) else _text_of(file)
    loaded = _loaded(text, str(file))
    if not OmegaConf.is_dict(loaded):
        raise RecipeError(f"{file}: a recipe is a mapping of keys such as image, steps, guidance")
    for override in overrides:
        place = f"override {override!r}"
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise RecipeError(f"{place}: write key.path=value, for example steps=500")
        if key.count(".") + key.count("[") >= DEEPEST:
            raise RecipeError(f"{place}: more than {DEEPEST} keys deep")
        # OmegaConf's own reader, as for the file: to plain YAML 1.1, 1e-3 is a word
        given = OmegaConf.to_container(_loaded(f"value:\n  {value}", place))
        if not isinstance(given, dict) or list(given) != ["value"]:
            raise RecipeError(f"{place}: {value!r} is no value; quote it")
        # zsh, and Python, leave the ~ of out=~/cat to us
        own = os.path.expanduser(found) if str(found := given["value"]).startswith("~/") else found
        try:
            OmegaConf.update(loaded, key, own, merge=False, force_add=True)
        except OmegaConfBaseException as error:
            raise RecipeError(f"{place}: {_reason(error)}") from None
        except Exception as error:  # whatever its reader of keys falls over
            raise RecipeError(f"{place}: {key!r} is no key path such as guidance.sds.weight") from error
    try:
        plain = OmegaConf.to_container(loaded, resolve=True, throw_on_missing=True)
    except Exception as error:  # a resolver raises anything
        raise RecipeError(f"{file}: {_reason(error)}") from error
    assert isinstance(plain, dict)
    _check_values(plain, f"{file}:")
    return {str(key): value for key, value in plain.items()}


def check_keys(overrides: Sequence[str], keys: Collection[str], command: str) -> None:
    """Hold overrides against the recipe's keys that a command looks at.

    Raises:
        RecipeError: one is of another key, which would change nothing.
    """
    for override in overrides:
        key = override.partition("=")[0].partition(".")[0].partition("[")[0]
        if "=" in override and key not in keys:
            raise RecipeError(f"override {override!r}: {command} takes no {key!r}; known: {', '.join(keys)}")


def _text_of(file: str | Path) -> str:
    path = recipe_file(file)
    try:
        with path.open("rb") as opened:
            data = opened.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise RecipeError(f"{file}: more than {LARGEST_FILE:,} bytes; a recipe is a few lines of YAML")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        own = f" zero3d's own is called {path.stem}, without a folder." if path.stem in recipes() else ""
        near = sorted(str(p) for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise RecipeError(f"{file}: no such file.{own or did_you_mean(str(path), near)}") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{file}: cannot be read ({error}); give a YAML file") from None


def _loaded(text: str, place: str) -> Any:
    """As OmegaConf holds it, once its size is known."""
    from omegaconf import OmegaConf

    try:
        _measure(text, place)
        return OmegaConf.load(io.StringIO(text))
    except RecipeError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark and not place.startswith("override") else ""
        raise RecipeError(f"{place}: no valid YAML{where}: {error.problem or error.context}") from None
    except Exception as error:  # a number of 5,000 digits, a set, half an interpolation: each of another kind
        raise RecipeError(f"{place}: {_reason(error)}") from error


def _measure(text: str, place: str) -> None:
    """Hold depth and size against their bounds before anything is built; an alias counts what it stands for."""
    nodes, starts, sizes = 0, list[tuple[int, str | None]](), dict[str, int]()
    for event in yaml.parse(text, yaml.SafeLoader):
        anchor = getattr(event, "anchor", None)
        if isinstance(event, yaml.AliasEvent):
            if anchor not in sizes:
                raise RecipeError(f"{place}: *{anchor}: stands for itself, or for nothing; write the value out")
            nodes += sizes[anchor]
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            if isinstance(event, yaml.CollectionStartEvent):
                starts.append((nodes, anchor))
            elif anchor is not None:
                sizes[anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            start, own = starts.pop()
            if own is not None:
                sizes[own] = nodes - start + 1
        if len(starts) > DEEPEST:
            raise RecipeError(f"{place}: maps within maps, more than {DEEPEST} deep")
        if nodes > MOST_NODES:
            raise RecipeError(f"{place}: more than {MOST_NODES:,} values")


def _check_values(value: Any, place: str) -> None:
    """Every one is of a kind that YAML writes back as it was, and of a size that somebody meant."""
    if isinstance(value, dict):
        for key, inner in value.items():
            join = " " if place.endswith(":") else "."
            _check_values(str(key), f"{place}{join}{str(key)[:100]!r} as a key")
            _check_values(inner, f"{place}{join}{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            _check_values(inner, f"{place}[{index}]")
    elif isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            raise RecipeError(f"{place}: a text of {len(value):,} characters; at most {LONGEST_TEXT:,}")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise RecipeError(f"{place}: {value!r} is no Unicode text; rename what it names") from None
        if "\0" in value:
            raise RecipeError(f"{place}: {value!r}; no text has a NUL character in it")
    elif isinstance(value, int) and not isinstance(value, bool):
        if not -(2**63) <= value < 2**63:
            raise RecipeError(f"{place}: a whole number of {len(str(value))} digits; at most 64 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{place}: {value} is no number to work with; write a finite one")
    elif value is not None and not isinstance(value, (bool, float)):
        raise RecipeError(f"{place}: {value!r} is a {type(value).__name__}; write text, a number, true, false or null")


def _reason(error: Exception) -> str:
    """What an error says, without OmegaConf's further lines, after the key that it names."""
    key = str(getattr(error, "full_key", "") or "")
    said = (str(error).splitlines() or [type(error).__name__])[0].replace("Missing mandatory value: ", "???; write ")
    if isinstance(error, RecursionError):
        said = "goes too deep"
    elif "nterpolation" in type(error).__name__ or "Grammar" in type(error).__name__:
        said = f"what its ${{...}} stands for cannot be told ({said}); write the value itself"
    elif "integer string conversion" in said:
        said = "a whole number of thousands of digits; at most 64 bits"
    return f"{key}: {said}" if key and key != "value" else said
