"""`resume`: on from the checkpoint, to the same model as without the interruption; or further than was planned."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from zero3d import checkpoint, folder
from zero3d.errors import RecipeError
from zero3d.files import remove_leftovers
from zero3d.lock import only_writer
from zero3d.recipe import Recipe
from zero3d.registry import Registry
from zero3d.run.further import change_steps
from zero3d.run.optimise import optimise
from zero3d.run.pictures import kept_pictures
from zero3d.run.session import Session, load_run_recipe, open_session, out_of, say
from zero3d.run.start import start_stages
from zero3d.run.subject import seen_from


def resume(
    run_folder: str, registry: Registry, tell: Callable[[str], None] = say, overrides: Sequence[str] = ()
) -> Session:
    """Go on from the checkpoint, and with the stages after it; ends in the same model as a run never interrupted.

    A run that was killed before its first checkpoint begins. `overrides` may be `steps=N`, to go on to another total.

    Raises:
        UserError: no run, a damaged checkpoint, or another process is writing there.
    """
    whole = folder.whole_run(run_folder)
    folder.open_run(whole)
    with only_writer(whole, str(whole)):
        remove_leftovers(whole)
        change_steps(whole, registry, overrides, tell)
        return _go_on(whole, registry, tell)


def _go_on(whole: Path, registry: Registry, tell: Callable[[str], None]) -> Session:
    path, former = folder.open_run(whole), None
    rest = _recipes(whole, registry)
    if (path / folder.CHECKPOINT).is_file() or path != whole:
        session = open_session(path, registry, tell=tell, teach=True)
        optimise(session, checkpoint.load(session.engine, path, states=True))
        rest = rest[[out_of(stage).name for stage in rest].index(path.name) + 1 :] if path != whole else []
        if not rest:
            return session
        former = session.parts.representation
        del session  # its denoisers make room for the next stage's
    return start_stages(rest, kept_pictures(whole, rest[0]), registry, tell, former)


def _recipes(whole: Path, registry: Registry) -> list[Recipe]:
    """A run's recipe, or those of its stages, wherever it has moved."""
    try:
        recipe = load_run_recipe(whole / folder.RECIPE, registry, [f"out={json.dumps(str(whole))}"])
    except RecipeError as error:
        raise RecipeError(f"{error}{folder.missing_plugins(whole, registry)}") from None
    recipe = seen_from(recipe, folder.read_manifest(whole).get("input_elevation_deg"))
    return [recipe, *recipe.later]
