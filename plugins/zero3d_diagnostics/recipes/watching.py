"""A recipe's verdict, and anew whenever one of its files is saved: only the first waits for torch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NoReturn

from zero3d.errors import RecipeError, UserError, one_line
from zero3d.processes import import_torch
from zero3d.recipe import look_over, read_yaml, recipe_file
from zero3d.registry import Registry

POLL_S = 0.2
"""Between two looks at the files."""

Saved = dict[Path, tuple[int, int] | None]
"""File -> when it was written, ns, and its bytes; None where there is none."""


def verdict(recipe: str, registry: Registry, overrides: Sequence[str]) -> list[str]:
    """That it is good: a line a stage.

    Raises:
        UserError: it is not.
    """
    look_over(recipe, registry, overrides)
    import_torch()  # which mistakes need not wait for
    from zero3d import run as runs

    return runs.check_lines(recipe, registry, overrides)


def watch(recipe: str, registry: Registry, overrides: Sequence[str]) -> NoReturn:
    """Print a line for each check: verdict and seconds. The first is now, the others follow when a file was saved.

    Raises:
        RecipeError: there is no such file to begin with, or none that is saved (a pipe).
        KeyboardInterrupt: Ctrl-C, which alone ends it.
    """
    path = recipe_file(recipe)
    if not path.is_file():
        read_yaml(recipe)  # says so
        raise RecipeError(f"{recipe}: no file that can be saved anew; leave --watch out, or copy it to one")
    files = {path}
    while True:
        with contextlib.suppress(RecipeError):  # then those that it named before
            files = {path, *_named(read_yaml(recipe, overrides))}
        before, began = _saved(files), perf_counter()
        try:
            line = "; then ".join(verdict(recipe, registry, overrides))
        except (UserError, OSError) as error:  # the system's: a file that goes while it is read
            line = one_line(str(error))
        print(f"{line} ({perf_counter() - began:.2f} s)", flush=True)
        _wait(before)


def _wait(before: Saved) -> None:
    """Until a file is another than before, and has been left alone for a poll: editors write in several steps."""
    last = before
    while True:
        sleep(POLL_S)
        now = _saved(before)
        if now == last != before:
            return
        last = now


def _saved(files: Iterable[Path]) -> Saved:
    found: Saved = {}
    for path in files:
        found[path] = None
        with contextlib.suppress(OSError, ValueError):  # none, or no path at all
            if path.is_file():
                found[path] = (path.stat().st_mtime_ns, path.stat().st_size)
    return found


def _named(source: Mapping[str, Any]) -> set[Path]:
    """Every text of a recipe as the file that it may name, there or not; of posed pictures theirs, too."""
    found: set[Path] = set()
    values = list(source.values())
    while values:
        value = values.pop()
        if isinstance(value, Mapping | list):
            values += value.values() if isinstance(value, Mapping) else value
        elif isinstance(value, str):
            found.add(Path(value))
    images = source.get("images")
    folder = images.get("transforms") if isinstance(images, Mapping) else images
    if isinstance(folder, str):
        found |= _posed(Path(folder))
    return found


def _posed(given: Path) -> set[Path]:
    """A transforms.json, or a folder's, with its pictures."""
    from zero3d.transforms import read_transforms, transforms_file  # with torch

    file = transforms_file(given)
    with contextlib.suppress(UserError):
        return {file, *(frame.path for frame in read_transforms(file))}
    return {file}
