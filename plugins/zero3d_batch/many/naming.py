"""What things are called: the folder of all runs, and each run's in it."""

from __future__ import annotations

import argparse
import contextlib
import glob
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import yaml

from zero3d.errors import UserError
from zero3d.files.labels import DEVICES
from zero3d_batch.many.rows import ROWS

LOGS = "logs"
OWN_NAMES = (ROWS, LOGS, "index.html", "table.csv", "table.json", "table.md")
"""What stands in the folder beside the runs."""
LONGEST_NAME = 80


@contextlib.contextmanager
def folder_of(
    command: str, arguments: argparse.Namespace, overrides: Sequence[str], source: Mapping[str, str]
) -> Iterator[tuple[Path, bool]]:
    """The folder of all runs, absolute, and whether the user named it: `--out`, `out=`, or else
    runs/COMMAND-RECIPE-SUBJECT, with a number where that is taken.

    source: what names the subject, as in a recipe: `image` or `prompt`. Unless the runs are only listed, a folder that has
    no name of the user's is made at once, so that nobody else takes it; it goes again with the block if nothing was written
    into it.

    Raises:
        UserError: it is a file, given twice, or cannot be made.
    """
    option: Path | None = arguments.out
    given = [own.partition("=")[2] for own in overrides if own.partition("=")[0] == "out"]
    if given and option:
        raise UserError("out: given as out= and as --out; name one folder")
    try:
        out = str(yaml.safe_load(given[-1])).strip() if given and given[-1].strip() else ""
    except yaml.YAMLError:
        out = given[-1]
    if not out and not option:
        from zero3d.run import free_out, reserving

        recipe, prefix = arguments.recipe, f"{command}-"
        listed = contextlib.nullcontext(partial(free_out, recipe, prefix=prefix))
        with listed if arguments.list_only else reserving(recipe, prefix) as chosen:
            yield Path(chosen(source)).absolute(), False
        return
    path = (option or Path(out)).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise UserError(f"out: {option or out} is a file; name a folder")
    yield path, True


def without_out(overrides: Sequence[str]) -> list[str]:
    """The other overrides."""
    return [own for own in overrides if own.partition("=")[0] != "out"]


def subject_of(pictures: Sequence[str]) -> str:
    """What pictures are called together: one by its name; a folder, a pattern or several by the folder's."""
    first = Path(pictures[0]).expanduser().absolute()
    if len(pictures) == 1 and (first.exists() or not glob.has_magic(pictures[0])):
        return first.name
    return next(place.name for place in first.parents if not glob.has_magic(str(place)))


class Names:
    """Folder names that are fit for any system and differ, upper and lower case being one."""

    def __init__(self) -> None:
        self._taken = {name.casefold() for name in OWN_NAMES}

    def of(self, *candidates: str) -> str:
        """The first candidate that is free, as a name; else the last with a number."""
        plain = [_plain(text) for text in candidates]
        numbered = (f"{plain[-1]}-{n}" for n in itertools.count(2))
        name = next(name for name in itertools.chain(plain, numbered) if name.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return name


def _plain(text: str) -> str:
    name = re.sub(r"[^\w.+-]+", "_", text).strip("._")[:LONGEST_NAME].strip("._") or "run"
    name = f"{name}_" if name.casefold().startswith("index") and name.casefold().endswith(".html") else name
    return f"{name}_" if name.partition(".")[0].upper() in DEVICES else name
