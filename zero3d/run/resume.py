"""`resume`: on from the checkpoint, to the same model as without the interruption."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from zero3d import checkpoint, folder
from zero3d.recipe import Recipe, load_recipe, read_yaml
from zero3d.registry import Registry
from zero3d.run.optimise import optimise
from zero3d.run.pictures import kept_picture
from zero3d.run.session import Session, open_session, out_of, say
from zero3d.run.start import start_stages


def resume(run_folder: str, registry: Registry, tell: Callable[[str], None] = say) -> Session:
    """Go on from the checkpoint, and with the stages after it; ends in the same model as a run never interrupted.

    Raises:
        UserError: no run, no checkpoint, or a damaged one.
    """
    whole = folder.whole_run(run_folder)
    path, former, rest = folder.open_run(whole), None, _stages(whole, registry)
    if path != whole or not rest:  # a stage, or the run itself
        session = open_session(path, registry, tell=tell, teach=True)
        optimise(session, checkpoint.load(session.engine, path))
        rest = rest[[out_of(stage).name for stage in rest].index(path.name) + 1 :] if rest else []
        if not rest:
            return session
        former = session.parts.representation
        del session  # its denoisers make room for the next stage's
    return start_stages(rest, kept_picture(whole, registry), registry, tell, former)


def _stages(whole: Path, registry: Registry) -> list[Recipe]:
    """The stages of a run, wherever it has moved; none where its recipe has none."""
    if "stages" not in read_yaml(whole / folder.RECIPE):
        return []
    recipe = load_recipe(whole / folder.RECIPE, registry, [f"out={json.dumps(str(whole))}"])
    return [recipe, *recipe.later]
