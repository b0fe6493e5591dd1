"""Which objects of a set are measured on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from zero3d import UserError

Found = TypeVar("Found")
LISTS = (".txt", ".list")
"""Endings of files of names."""


@dataclass
class Selection:
    """`path`: folder of your copy. `objects`: names to take, or .txt files of names, one a line; [] takes all. `limit`: the
    first so many of them; null takes all."""

    path: str = ""
    objects: list[str] = field(default_factory=list)
    limit: int | None = None

    def __post_init__(self) -> None:
        if not self.path.strip():
            raise ValueError(
                "path: none given; the folder that holds your copy of the data (see the package's README.md)"
            )
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit: {self.limit}; 1 or more, or null for all")

    @property
    def folder(self) -> Path:
        return Path(self.path).expanduser()


def existing(config: Selection, what: str) -> Path:
    """The folder that the options name.

    Raises:
        UserError: there is none, or it cannot be read.
    """
    try:
        next(config.folder.iterdir(), None)
    except OSError as error:
        known = {FileNotFoundError: "no such folder", NotADirectoryError: "a file, no folder"}
        found = known.get(type(error), f"cannot be read ({error.strerror})")
        raise UserError(f"{what}: path: {config.path}: {found}; name the folder of your copy") from None
    return config.folder


def chosen(found: Mapping[str, Found], config: Selection, what: str) -> list[Found]:
    """Those of `found` (by name, in the data's order) that the options ask for, in the data's order.

    Raises:
        UserError: a name that is not there, or a list that cannot be read.
    """
    wanted = list(_names(config.objects, what))
    for name in wanted:
        if name not in found:
            near = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UserError(
                f"{what}: objects: {name!r} is not among the {len(found)} in {config.path} "
                f"({_some(list(found))}).{hint} Names are as the data has them"
            )
    kept = set(wanted)
    taken = [value for name, value in found.items() if not wanted or name in kept]
    return taken[: config.limit]


def _names(given: Sequence[str], what: str) -> Sequence[str]:
    names: list[str] = []
    for name in given:
        if not name.endswith(LISTS):
            names.append(name)
            continue
        try:
            lines = Path(name).expanduser().read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text in UTF-8"
            raise UserError(f"{what}: objects: {name}: {reason}; a list of names, one a line") from None
        listed = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not listed:
            raise UserError(f"{what}: objects: {name}: no names in it; write one a line")
        names += listed
    return names


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown}, ..." if len(names) > 4 else shown


def holds(folder: Path) -> str:
    """What a folder holds, in a few words, for the line that says what was found there."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    if not entries:
        return "it is empty"
    names = [f"{entry.name}/" if entry.is_dir() else entry.name for entry in entries]
    packed = sum(name.lower().endswith((".zip", ".tar", ".gz", ".tgz")) for name in names)
    unpack = f"; {packed} of them packed: unpack them" if packed else ""
    return f"it holds {len(names)}: {_some(names)}{unpack}"
