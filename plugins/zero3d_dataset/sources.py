"""Which meshes to draw, and the name (uid) that each one's folder gets."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zero3d.errors import UserError
from zero3d.mesh_files import FORMATS


@dataclass(frozen=True)
class Source:
    """A mesh file and its name in the data set."""

    uid: str
    path: Path


def find_sources(given: Sequence[Path]) -> list[Source]:
    """Mesh files: those named, those below named folders, and those that named text files list (a path a line).

    A uid is the file's stem. Where several share it, a hash of the path below the named folder (so that folders can
    be moved) is added to each, and of the whole path where even that is shared. A file found twice is drawn once.

    Raises:
        UserError: something named is missing or of another kind, or there is no mesh at all.
    """
    found: dict[Path, str] = {}
    for argument in given:
        for path, place in _expand(argument):
            found.setdefault(Path(os.path.abspath(path)), place)
    if not found:
        named = ", ".join(map(str, given))
        raise UserError(f"{named}: no mesh there; give {', '.join(FORMATS).upper()} files, folders or lists of them")
    stems = {path: re.sub(r"[^\w-]", "_", path.stem) or "_" for path in found}
    names = _distinct(
        list(found),
        [
            lambda path: stems[path],
            lambda path: f"{stems[path]}-{_hash(found[path])}",
            lambda path: f"{stems[path]}-{_hash(str(path))}",
        ],
    )
    return [Source(names[path], path) for path in sorted(found, key=lambda path: names[path])]


def _expand(argument: Path) -> Iterator[tuple[Path, str]]:
    """Files, each with where it lies below what was named."""
    if argument.is_dir():
        for folder, below, files in os.walk(argument):
            below[:] = sorted(name for name in below if not name.startswith("."))
            for name in sorted(files):
                if _is_mesh(name) and not name.startswith("."):
                    path = Path(folder, name)
                    yield path, f"{argument.resolve().name}/{path.relative_to(argument).as_posix()}"
    elif not argument.is_file():
        raise UserError(f"{argument}: no such file or folder; give meshes, folders of them, or a text file with a list")
    elif _is_mesh(argument.name):
        yield argument, f"{argument.resolve().parent.name}/{argument.name}"
    elif argument.suffix.lower() in (".txt", ".lst", ".list"):
        try:
            lines = argument.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "no text in UTF-8"
            raise UserError(f"{argument}: {reason}; give a list of paths, one a line") from None
        for line in lines:
            listed = line.strip()
            if listed and not listed.startswith("#"):
                yield argument.parent / listed, listed
    else:
        raise UserError(f"{argument}: neither a mesh ({', '.join(FORMATS)}) nor a list (.txt)")


def _is_mesh(name: str) -> bool:
    return name.rsplit(".", 1)[-1].lower() in FORMATS and "." in name


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _distinct(paths: list[Path], levels: list[Callable[[Path], str]]) -> dict[Path, str]:
    """The first level's name for each path whose name nobody else wants, whatever the case of letters; else the next."""
    wanted = {path: levels[0](path) for path in paths}
    shared = Counter(name.lower() for name in wanted.values())
    names = {path: name for path, name in wanted.items() if shared[name.lower()] == 1}
    left = [path for path in paths if path not in names]
    if left:
        names |= _distinct(left, levels[1:])
    return names
