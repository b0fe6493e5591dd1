"""Plain options -> an instance of a dataclass, every key and value checked."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from typing import Any

from zero3d.errors import RecipeError, did_you_mean

PLAIN: dict[Any, tuple[str, tuple[type[Any], ...]]] = {
    bool: ("true or false", (bool,)),
    int: ("a whole number", (int, str)),
    float: ("a number", (float, int, str)),
    str: ("text", (str, int, float, bool)),
    dict: ("a map {option: value}", ()),
    **dict.fromkeys((list, tuple), ("", ())),
    types.NoneType: ("null", ()),
}
"""Types of options: what who writes a recipe calls them, and the types of the values that they take."""


def typed(schema: type[Any], options: Mapping[str, Any], place: str) -> Any:
    """An instance of the dataclass `schema` from plain options.

    Raises:
        RecipeError: an unknown key (with the nearest one), one that is missing, a wrong type, a number that is not finite,
            or a value out of range.
    """
    fields = {f.name: f for f in dataclasses.fields(schema) if f.init}
    for wrong in (str(key) for key in options if key not in fields):
        raise RecipeError(f"{_join(place, wrong)}: no such option.{did_you_mean(wrong, fields)}")
    hints, values = _hints(schema), dict[str, Any]()
    for name, field in fields.items():
        if name in options:
            values[name] = _value(hints[name], field, options[name], _join(place, name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise RecipeError(f"{_join(place, name)}: missing; write {_wanted(hints[name], field)}")
    try:
        return schema(**values)
    except ValueError as error:
        raise RecipeError(_join(place, str(error))) from None
    except (TypeError, AttributeError, LookupError, ArithmeticError) as error:  # `Any` that is compared with a number
        told = ", ".join(f"{k}: {options[k]!r}" for k in [k for k in options if hints[k] is Any] or options)
        raise RecipeError(f"{_join(place, told)} does not fit; `zero3d plugins show NAME` explains it") from error


def _value(hint: Any, field: dataclasses.Field[Any], given: Any, place: str) -> Any:
    """What an option is given."""
    nested = isinstance(hint, type) and dataclasses.is_dataclass(hint)
    try:
        value = _taken(given, dict if nested else hint)
    except (TypeError, ValueError):
        raise RecipeError(f"{place}: {given!r}; write {_wanted(hint, field)}") from None
    return typed(hint, value, place) if nested else value


def _taken(given: Any, hint: Any) -> Any:
    """The value as an option of that type has it; a number may stand in quotes.

    Raises:
        ValueError, TypeError: it takes no such value.
    """
    kind, inner = typing.get_origin(hint) or hint, (*typing.get_args(hint), Any, Any)
    if isinstance(given, float) and not math.isfinite(given):
        raise ValueError
    if kind in (typing.Union, types.UnionType):
        return given if type(given) in inner else _taken(given, inner[0])
    if kind in (list, tuple) and isinstance(given, (list, tuple)):
        return kind(_taken(one, inner[0]) for one in given)
    if kind is dict and isinstance(given, Mapping):
        return {key: _taken(value, inner[1]) for key, value in given.items()}
    if kind in PLAIN and type(given) not in PLAIN[kind][1]:
        raise TypeError
    return kind(given) if kind in PLAIN else given


def _join(place: str, key: str) -> str:
    """`file:` + key or `file: path` + key."""
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}"


def _wanted(hint: Any, field: dataclasses.Field[Any]) -> str:
    """What an option of that type takes, in words; of a list, its default is the example."""
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind in (typing.Union, types.UnionType):
        return " or ".join(_wanted(one, field) for one in inner)
    if kind not in (list, tuple):
        return PLAIN.get(kind, ("a value",) if kind is Any else PLAIN[dict])[0]
    default = field.default if field.default_factory is MISSING else field.default_factory()
    example = default if isinstance(default, (list, tuple)) and default else ("a", "b") if str in inner else (1, 2)
    return f"a list such as [{', '.join(f'{n:g}' if isinstance(n, float) else str(n) for n in example)}]"


def _hints(schema: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(schema)
    except Exception:  # a plug-in may annotate with what it imports for type checkers alone
        return {f.name: f.type for f in dataclasses.fields(schema)}
