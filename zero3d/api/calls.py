"""What the command line does, as functions that return what was made; of a run that is there, `opened` does it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zero3d import folder
from zero3d import run as runs
from zero3d.api.commands import command_output
from zero3d.api.opened import Plugins, Run, made, several
from zero3d.api.overrides import picture_word, words
from zero3d.errors import UserError
from zero3d.plugins import load_plugins
from zero3d.recipe import RecipeText


def run(
    recipe: str | Path | RecipeText,
    image: Any = None,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    progress: bool = True,
    plugins: Plugins = (),
    **keywords: Any,
) -> Run:
    """Make a model: `zero3d run`.

    Args:
        recipe: its name ("nano") or path.
        image: a path, a PIL picture, a uint8 array (H, W, 3 or 4), or a block, {"type": "text", "prompt": "a mug"}.
        out: the run's folder; without it runs/RECIPE-PICTURE.
        overrides: any keys of the recipe, {"input.elevation_deg": 20}; None removes a block.
        progress: whether there is a bar, and the run's notes are printed.
        keywords: further overrides, `steps=100, seed=1`.

    Raises:
        UserError: the recipe, the picture or the folder cannot be used.
        KeyboardInterrupt: stopped; `open_run(out).resume()` goes on.
    """
    with _override_words(image, out, overrides, keywords) as options:
        return made(lambda registry, tell: runs.run(_file(recipe), registry, options, tell), progress, plugins)


def reconstruct(
    name: str,
    image: Any = None,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    progress: bool = True,
    plugins: Plugins = (),
    **keywords: Any,
) -> Run:
    """A model at once, by a reconstructor: `zero3d reconstruct`. Arguments as of `run`.

    Raises:
        UserError: no such reconstructor, or as `run`.
    """
    recipe = runs.one_shot(name, load_plugins(several(plugins)))
    return run(recipe, image, out, overrides, progress, plugins, **keywords)


def open_run(run_folder: str | Path, plugins: Plugins = ()) -> Run:
    """A run that is there already, finished or not; of a stage, its whole run.

    Raises:
        UserError: it is none.
    """
    if not isinstance(run_folder, str | os.PathLike):
        raise UserError(f"open_run: {run_folder!r}; name a run's folder, as a string or a path")
    folder.open_run(run_folder)
    return Run(folder.whole_run(run_folder), several(plugins))


class Planned(list[runs.Plan]):
    """The plan of each stage. Printed, it is what `zero3d plan` says."""

    text: str = ""

    def __repr__(self) -> str:
        return self.text or super().__repr__()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows: its own way with lists would go into every part."""
        printer.text(repr(self))


def plan(
    recipe: str | Path | RecipeText,
    image: Any = None,
    out: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    plugins: Plugins = (),
    **keywords: Any,
) -> Planned:
    """What `run` would do, after all its checks; no step, no weight read, nothing written. Arguments as of `run`.

    Raises:
        UserError: as `run`, before it starts.
    """
    registry = load_plugins(several(plugins))
    with _override_words(image, out, overrides, keywords) as options:
        found = Planned(runs.plans(_file(recipe), registry, options))
        if "plan" in registry.names("command") and not isinstance(recipe, RecipeText):
            found.text = command_output(registry, "plan", [str(recipe), *options])
    return found


def check(
    recipe: str | Path,
    overrides: Mapping[str, Any] | None = None,
    plugins: Plugins = (),
    **keywords: Any,
) -> list[str]:
    """Whether everything in a recipe is spelled right and the parts fit: a line a stage. `zero3d recipe check`.

    Raises:
        UserError: something is not; the line says where.
    """
    return runs.check_lines(_file(recipe), load_plugins(several(plugins)), words({**(overrides or {}), **keywords}))


@contextlib.contextmanager
def _override_words(
    image: Any, out: Any, overrides: Mapping[str, Any] | None, more: Mapping[str, Any]
) -> Iterator[list[str]]:
    """All of them as key=value; the file of a picture that was given as pixels is there while the block runs."""
    with picture_word(image) as given:
        place = {} if out is None else {"out": out}
        yield words({**given, **place, **(overrides or {}), **more})


def _file(recipe: str | Path | RecipeText) -> str | RecipeText:
    if isinstance(recipe, Path) and len(recipe.parts) == 1 and recipe.suffix not in (".yaml", ".yml"):
        return f"./{recipe}"  # a path is never a recipe's name
    if not isinstance(recipe, (str, Path, RecipeText)):
        raise UserError(f'recipe: {recipe!r:.80}; a name such as "nano", or the path of a YAML file')
    return str(recipe) if isinstance(recipe, Path) else recipe
