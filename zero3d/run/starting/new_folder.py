"""The folder of a run whose recipe names none: runs/RECIPE-PICTURE, with a number where that is taken."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import RunError
from zero3d.recipe import RecipeText, run_name

PARENT = "runs"


def free_out(file: str | RecipeText, source: Mapping[str, Any], prefix: str = "") -> str:
    """The folder that a run would take now, its name after `prefix`; nothing is made."""
    return next(str(folder) for folder in _folders(file, source, prefix) if not folder.exists())


_PARENTS: set[Path] = set()
"""That this process made: whichever of its runs ends last without a result takes the folder away again."""


@contextlib.contextmanager
def reserving(file: str | RecipeText, prefix: str = "") -> Iterator[Callable[[Mapping[str, Any]], str]]:
    """Gives `default_out` of `load_recipe`: takes the folder of `free_out` before anyone else can. It goes again with the
    block if nothing was written into it.

    Raises:
        RunError: it cannot be made.
    """
    made: list[Path] = []

    def take(source: Mapping[str, Any]) -> str:
        parent = Path(PARENT)
        try:
            with contextlib.suppress(FileExistsError):
                parent.mkdir()
                _PARENTS.add(parent.absolute())
            for folder in _folders(file, source, prefix):
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                    made.append(folder)
                    break
        except OSError as error:
            raise RunError(f"out: {PARENT}/ cannot be written ({error.strerror}); name a folder, out=FOLDER") from None
        return str(folder)

    try:
        yield take
    finally:
        parents = {place.absolute().parent for place in made} & _PARENTS
        for place in [*made, *parents]:
            with contextlib.suppress(OSError):  # there is something in it
                place.rmdir()


def _folders(file: str | RecipeText, source: Mapping[str, Any], prefix: str) -> Iterator[Path]:
    title = file.name.split()[-1] if isinstance(file, RecipeText) else Path(file).stem
    name = run_name(prefix + title, source)
    return (Path(PARENT, name if number == 1 else f"{name}-{number}") for number in itertools.count(1))
