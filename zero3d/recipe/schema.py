"""Plain options -> an instance of a dataclass, every key and value checked."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zero3d.errors import RecipeError, did_you_mean


def typed(schema: type[Any], options: Mapping[str, Any], place: str) -> Any:
    """An instance of the dataclass `schema` from plain options.

    Raises:
        RecipeError: an unknown key (with the nearest one), a wrong type, or a value out of range.
    """
    known = [f.name for f in dataclasses.fields(schema)]
    for key in options:
        if key not in known:
            raise RecipeError(f"{_join(place, str(key))}: no such option.{did_you_mean(str(key), known)}")
    for f in dataclasses.fields(schema):
        nested = f.type if isinstance(f.type, type) else _nested_type(schema, f.name)
        if nested is not None and dataclasses.is_dataclass(nested) and isinstance(options.get(f.name), Mapping):
            typed(nested, options[f.name], _join(place, f.name))
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(options)))
    except OmegaConfBaseException as error:
        key = str(getattr(error, "full_key", "") or "")
        reason = str(error).splitlines()[0]
        raise RecipeError(f"{_join(place, key) if key else place}: {reason}") from None
    except ValueError as error:
        raise RecipeError(_join(place, str(error))) from None


def _join(place: str, key: str) -> str:
    """`file:` + key or `file: path` + key."""
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}"


def _nested_type(schema: type[Any], name: str) -> type[Any] | None:
    hint = typing.get_type_hints(schema).get(name)
    return hint if isinstance(hint, type) else None
