"""The grid of a sweep: `key=a,b,c seed=0..3` -> every combination."""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zero3d.errors import UserError
from zero3d_batch.many.items import Wanted, quoted
from zero3d_batch.many.naming import Names, subject_of

RANGE = re.compile(r"(-?\d{1,18})\.\.(-?\d{1,18})")
MOST_RUNS = 100_000
OPENING, CLOSING = "[{", "]}"


@dataclass(frozen=True)
class Axis:
    """A key with several values. `short`: what names the runs."""

    key: str
    values: tuple[str, ...]
    short: str = ""


def read_axes(overrides: Sequence[str]) -> tuple[list[str], list[Axis]]:
    """Overrides of one value as they are, and the axes.

    Raises:
        UserError: no key=value, an empty value among several, a range that is none, or a key given twice.
    """
    fixed, found = [], dict[str, tuple[str, ...]]()
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise UserError(f"{override!r}: write key=value, key=a,b,c or key=0..3")
        values = values_of(key, text)
        if key in found:
            raise UserError(f"{key}: given twice; write its values in one, with commas between them")
        found[key] = values
    for key, values in found.items():
        if len(values) == 1:
            fixed.append(f"{key}={values[0]}")
    axes = {key: values for key, values in found.items() if len(values) > 1}
    return fixed, [Axis(key, values, _short(key, list(axes))) for key, values in axes.items()]


def values_of(key: str, text: str) -> tuple[str, ...]:
    """The values of one key, each as an override's; a picture's path is absolute.

    Raises:
        UserError: see `read_axes`.
    """
    pieces = _split(text)
    found: list[str] = []
    for piece in pieces:
        span = RANGE.fullmatch(piece)
        if not piece and len(pieces) > 1:
            raise UserError(f"{key}={text}: an empty value; take out a comma, or write \\, for one within a value")
        if span:
            first, last = int(span[1]), int(span[2])
            if last < first:
                raise UserError(f"{key}={piece}: from {first} to {last}; write a range upwards, for example 0..3")
            if last - first >= MOST_RUNS:
                raise UserError(f"{key}={piece}: {last - first + 1:,} values; a sweep has at most {MOST_RUNS:,} runs")
            found += map(str, range(first, last + 1))
        else:
            found += _picture(piece) if key == "image" else [piece]
    double = next((value for value in found if found.count(value) > 1), None)
    if double is not None:
        raise UserError(f"{key}={text}: {double} twice; take one out")
    return tuple(found)


def _picture(piece: str) -> list[str]:
    if piece[:1] in ("{", '"', "'", ""):
        return [piece]
    matches = sorted(glob.glob(piece)) if glob.has_magic(piece) and not Path(piece).exists() else [piece]
    if not matches:
        raise UserError(f"image={piece}: no picture matches; name some")
    return [quoted(str(Path(one).expanduser().absolute())) for one in matches]


def _split(text: str) -> list[str]:
    """At commas outside of quotes and brackets; \\, is one that stays."""
    pieces, quote, depth, position = [""], "", 0, 0
    while position < len(text):
        letter = text[position]
        if letter == "\\" and text[position + 1 : position + 2] == ",":
            pieces[-1] += ","
            position += 2
            continue
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and not pieces[-1].strip(" [{:,"):  # not the apostrophe of a word
            quote = letter
        elif letter in OPENING:
            depth += 1
        elif letter in CLOSING:
            depth -= 1
        if letter == "," and not quote and depth <= 0:
            pieces.append("")
        else:
            pieces[-1] += letter
        position += 1
    return [piece.strip() for piece in pieces]


def _short(key: str, keys: list[str]) -> str:
    """The end of a key path that tells it from the others."""
    parts = key.split(".")
    for length in range(1, len(parts) + 1):
        end = ".".join(parts[-length:])
        if sum(other == end or other.endswith(f".{end}") for other in keys) == 1:
            return end
    return key


def shown(axis: Axis, value: str) -> str:
    """A value in a few words: a picture by its name."""
    return Path(value.strip("\"'")).stem if axis.key == "image" else value


def subject_words(fixed: Sequence[str], axes: Sequence[Axis]) -> dict[str, str]:
    """What the runs are of, as a recipe's `image` or `prompt`; a picture given as a mapping does not say."""
    values = {axis.key: axis.values for axis in axes}
    values |= {key: (text,) for key, _, text in (own.partition("=") for own in fixed)}
    found = {"prompt": values["prompt"][0].strip("\"'")} if "prompt" in values else {}
    pictures = [value.strip("\"'") for value in values.get("image", ()) if value[:1] not in "{["]
    return {**found, "image": subject_of(pictures)} if any(pictures) else found


def cells(axes: Sequence[Axis]) -> list[Wanted]:
    """Every combination, the last axis fastest.

    Raises:
        UserError: more than MOST_RUNS.
    """
    count = 1
    for axis in axes:
        count *= len(axis.values)
    if count > MOST_RUNS:
        raise UserError(f"sweep: {count:,} runs; at most {MOST_RUNS:,}")
    names, found = Names(), []
    for values in itertools.product(*(axis.values for axis in axes)):
        named = [
            shown(axis, value) if axis.key == "image" else f"{axis.short}-{value}"
            for axis, value in zip(axes, values, strict=True)
        ]
        overrides = tuple(f"{axis.key}={value}" for axis, value in zip(axes, values, strict=True))
        keys = {axis.key: shown(axis, value) for axis, value in zip(axes, values, strict=True)}
        found.append(Wanted(names.of("_".join(named) or "run"), overrides, keys, None))
    return found
