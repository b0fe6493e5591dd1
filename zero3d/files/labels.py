"""Labels and file names that come from recipes and plug-ins, checked before any becomes a path, a key or a log's name."""

from __future__ import annotations

import re
from pathlib import PurePosixPath, PureWindowsPath

from zero3d.errors import RecipeError

LONGEST = 50
LABEL = re.compile(rf"\w(?:[\w .+-]{{0,{LONGEST - 2}}}[\w+-])?")
"""A label: it becomes a file's name (of 255 bytes at most), a figure's, a key's."""
DEVICES = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))}
"""Names that Windows keeps for itself, whatever ending they have."""
OWN_FILES = ("checkpoint", "eval", "manifest", "metrics", "picture", "recipe")
"""What a run writes itself: no export may be called so ("picture.png" is the texture of "picture.obj")."""


def check_label(label: object, place: str) -> str:
    """The label as text, fit to be a file's name on any system.

    Raises:
        RecipeError: it is empty, too long, or has a character that a path or a key path reads otherwise.
    """
    if str(label).partition(".")[0].upper() in DEVICES or not LABEL.fullmatch(str(label)) or ".." in str(label):
        shown = f"{str(label)[:LONGEST]!r}{'...' * (len(str(label)) > LONGEST)}"
        raise RecipeError(f"{place}: {shown} is no label; letters, digits, _ and -, at most {LONGEST} of them")
    return str(label)


def is_file_name(name: object) -> bool:
    """Whether it names a file in a folder, on any system, and no path that leads out of it or into another."""
    return (
        isinstance(name, str)
        and name not in ("", ".", "..")
        and "\0" not in name
        and PurePosixPath(name).name == name
        and PureWindowsPath(name).name == name
        and len(name.encode(errors="surrogateescape")) <= 255
    )
