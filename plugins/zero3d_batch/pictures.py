"""The pictures of a batch: a folder's, a pattern's, a list's or a table's, each with the keys that are its alone."""

from __future__ import annotations

import csv
import glob
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zero3d.errors import UserError
from zero3d.recipe import read_yaml
from zero3d_batch.many.items import Wanted, quoted
from zero3d_batch.many.naming import Names

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".heic", ".heif", ".avif")
"""What a folder's pictures end in; a file given by name may end in anything."""
LARGEST_LIST = 2**26


def wanted_pictures(given: Sequence[str]) -> list[Wanted]:
    """A run for each picture, in order; one given twice counts once. That it can be read, nobody looks.

    Raises:
        UserError: no such folder, pattern or list, none in it, or a list or a YAML file beside a picture that is damaged.
    """
    found: dict[Path, dict[str, str]] = {}
    for one in given:
        for path, keys in _pictures(one):
            found.setdefault(path.absolute(), {}).update(keys)
    names = Names()
    return [_wanted(path, {**_beside(path), **keys}, names) for path, keys in found.items()]


def _wanted(path: Path, keys: Mapping[str, str], names: Names) -> Wanted:
    overrides = tuple(f"{key}={value}" for key, value in keys.items())
    return Wanted(names.of(path.stem, path.name), overrides, keys, str(path))


def _pictures(given: str) -> Iterator[tuple[Path, dict[str, str]]]:
    path = Path(given).expanduser()
    if path.is_dir():
        files = [own for own in path.iterdir() if own.suffix.lower() in SUFFIXES and not own.name.startswith(".")]
        if not files:
            raise UserError(f"{given}: no picture in this folder ({', '.join(SUFFIXES)}); name another")
        yield from ((own, {}) for own in sorted(files, key=lambda own: _natural(own.name)))
    elif path.suffix.lower() == ".csv":
        yield from _table(path)
    elif path.suffix.lower() == ".txt":
        lines = [line.strip() for line in _text(path).splitlines()]
        yield from ((path.parent / line, {}) for line in lines if line and not line.startswith("#"))
    elif path.is_file():
        yield path, {}
    else:
        found = [Path(own) for own in glob.glob(str(path), recursive=True)] if glob.has_magic(given) else []
        if not found:
            raise UserError(f"{given}: no such picture, folder or list (.txt, .csv); name one, or a pattern in quotes")
        yield from ((own, {}) for own in sorted(found, key=lambda own: _natural(str(own))) if own.is_file())


def _table(path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The rows of a CSV file with a column `image`; every other column is a key, and an empty cell gives none."""
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), skipinitialspace=True)
    names = [str(name).strip() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if "image" not in names:
        raise UserError(f"{path}: no column image; its first line names the columns, image and any keys of the recipe")
    for wrong in ("", "out", "images", "overwrite"):
        if wrong in names:
            raise UserError(f"{path}: a column {wrong!r}; the columns are image and keys of the recipe")
    try:
        for row in reader:
            if None in row or None in row.values():
                raise UserError(
                    f"{path}, line {reader.line_num}: not {len(names)} columns; quote what has a comma in it"
                )
            image = row.pop("image").strip()
            if image:
                yield path.parent / image, {key: value.strip() for key, value in row.items() if value.strip()}
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}: {error}; write it as CSV") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_LIST:
            raise UserError(f"{path}: more than {LARGEST_LIST:,} bytes; split it")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise UserError(f"{path}: cannot be read ({reason}); give a list of pictures") from None


def _beside(path: Path) -> dict[str, str]:
    """The keys of NAME.yaml beside NAME.png."""
    own = path.with_suffix(".yaml")
    return dict(_leaves("", read_yaml(own))) if own.is_file() else {}


def _leaves(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """Key path -> value as an override: a map is laid over the recipe's, not put in its place; one with a type is."""
    if isinstance(value, Mapping) and value and "type" not in value:
        for name, inner in value.items():
            yield from _leaves(f"{key}.{name}" if key else str(name), inner)
    else:
        yield key, _value(value)


def _value(value: Any) -> str:
    """In YAML of one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{quoted(str(k))}: {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return quoted(value)
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def _natural(text: str) -> list[tuple[int, int, str]]:
    """2 before 10."""
    parts = re.findall(r"\d+|\D+", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts]
