"""Plain options -> an instance of a dataclass, every key and value checked."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

from zero3d.errors import RecipeError, did_you_mean


def typed(schema: type[Any], options: Mapping[str, Any], place: str) -> Any:
    """An instance of the dataclass `schema` from plain options.

    Raises:
        RecipeError: an unknown key (with the nearest one), a wrong type, a number that is not finite, or a value out of
            range.
    """
    from omegaconf import OmegaConf  # a tenth of a second, which commands that read no recipe need not wait for
    from omegaconf.errors import OmegaConfBaseException

    fields = {f.name: f for f in dataclasses.fields(schema)}
    for key in options:
        if key not in fields:
            raise RecipeError(f"{_join(place, str(key))}: no such option.{did_you_mean(str(key), fields)}")
    hints = _hints(schema)
    for name, value in options.items():
        nested = hints.get(name)
        if isinstance(nested, type) and dataclasses.is_dataclass(nested) and value is not None:
            if not isinstance(value, Mapping):
                raise RecipeError(f"{_join(place, name)}: {value!r} is no map; write {{option: value}}")
            typed(nested, value, _join(place, name))
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), dict(options))
        _check_finite(OmegaConf.to_container(merged), place)
        return OmegaConf.to_object(merged)
    except RecipeError:
        raise
    except OmegaConfBaseException as error:
        key = str(getattr(error, "full_key", "") or "") or _misfit(schema, options)
        reason = str(error).splitlines()[0]
        raise RecipeError(f"{_join(place, key) if key else place}: {reason}") from None
    except ValueError as error:
        raise RecipeError(_join(place, str(error))) from None
    except Exception as error:  # a list where a map is due, an `Any` that is compared with a number
        key = _misfit(schema, options)
        if key:
            wanted = _wanted(schema, fields[key])
            raise RecipeError(f"{_join(place, key)}: {options[key]!r} does not fit; write {wanted}") from error
        told = ", ".join(f"{key}: {value!r}" for key, value in options.items())
        raise RecipeError(f"{place}: {told or 'its defaults'}: {type(error).__name__}: {error}") from error


def _join(place: str, key: str) -> str:
    """`file:` + key or `file: path` + key."""
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}"


def _wanted(schema: type[Any], field: dataclasses.Field[Any]) -> str:
    """What an option takes, in words."""
    hint = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    if hint.rpartition(".")[2] != "Any":
        return f"a {hint}"
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    try:
        schema(**{field.name: default if isinstance(default, Mapping) else {0: default}})
    except Exception:  # it takes no schedule, or others of its options have no default
        return "another value (`zero3d plugins show NAME` explains the options)"
    return "a number or a schedule {0%: a, 100%: b}"


def _hints(schema: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(schema)
    except Exception:  # a plug-in may annotate with what it imports for type checkers alone
        return {f.name: f.type for f in dataclasses.fields(schema)}


def _misfit(schema: type[Any], options: Mapping[str, Any]) -> str:
    """The option that cannot be merged, for errors that do not say; empty if each can."""
    from omegaconf import OmegaConf

    for key, value in options.items():
        try:
            OmegaConf.merge(OmegaConf.structured(schema), {key: value})
        except Exception:
            return key
    return ""


def _check_finite(value: Any, place: str) -> None:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_finite(inner, _join(place, str(key)))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            _check_finite(inner, f"{place}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise RecipeError(f"{place}: {value} is no number to work with; write a finite one")
