"""`resume`: on from the checkpoint, to the same model as without the interruption; or further than was planned."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from zero3d import checkpoint, folder
from zero3d.errors import RecipeError
from zero3d.files import remove_leftovers
from zero3d.files.lock import only_writer
from zero3d.recipe import Recipe
from zero3d.registry import Registry
from zero3d.run.opening.pictures import kept_pictures
from zero3d.run.opening.session import Session, check_observers, load_run_recipe, open_session, out_of, say
from zero3d.run.opening.subject import seen_from
from zero3d.run.optimise import optimise
from zero3d.run.starting.further import change_steps, sorted_overrides
from zero3d.run.starting.start import reporting_a_stop, start_stages


def resume(
    run_folder: str, registry: Registry, tell: Callable[[str], None] = say, overrides: Sequence[str] = ()
) -> Session:
    """Go on from the checkpoint, and with the stages after it; ends in the same model as a run never interrupted.

    A run that was killed before its first checkpoint begins. `overrides` may be `steps=N`, to go on to another total, and
    `observers.*`, which hold for what is done now (of all stages that are left) and stand in no recipe.yaml.

    Raises:
        UserError: no run, a damaged checkpoint, an observer that cannot work now, or another process is writing there.
    """
    steps, watching = sorted_overrides(overrides)
    whole = folder.whole_run(run_folder)
    folder.open_run(whole)
    with reporting_a_stop(tell, whole), only_writer(whole, str(whole)):
        remove_leftovers(whole)
        check_observers(_recipes(whole, registry, watching))
        change_steps(whole, registry, steps, tell)
        return _go_on(whole, registry, tell, watching)


def _go_on(whole: Path, registry: Registry, tell: Callable[[str], None], watching: Sequence[str]) -> Session:
    path, former = folder.open_run(whole), None
    rest = _recipes(whole, registry, watching)
    if (path / folder.CHECKPOINT).is_file() or path != whole:
        session = open_session(path, registry, watching, tell, teach=True)
        optimise(session, checkpoint.load(session.engine, path, states=True))
        rest = rest[[out_of(stage).name for stage in rest].index(path.name) + 1 :] if path != whole else []
        if not rest:
            return session
        former = session.parts.representation
        del session  # its denoisers make room for the next stage's
    return start_stages(rest, kept_pictures(whole, rest[0]), registry, tell, former)


def _recipes(whole: Path, registry: Registry, watching: Sequence[str]) -> list[Recipe]:
    """A run's recipe, or those of its stages, wherever it has moved; `watching`: overrides of observers, in all of them."""
    names = [place.name.partition("-")[2] for place in folder.stage_folders(whole)]
    own = [f"stages.{name}.{override}" for name in names for override in watching] if names else watching
    try:
        recipe = load_run_recipe(whole / folder.RECIPE, registry, [f"out={json.dumps(str(whole))}", *own])
    except RecipeError as error:
        raise RecipeError(f"{error}{folder.made_otherwise(whole, registry)}") from None
    recipe = seen_from(recipe, folder.read_manifest(whole).get("input_elevation_deg"))
    return [recipe, *recipe.later]
