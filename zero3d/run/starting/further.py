"""What `resume` takes: `steps=N`, a run goes on to another number of steps, and its folder says so; `observers.*`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from zero3d import checkpoint, folder
from zero3d.errors import RecipeError
from zero3d.files import write_text
from zero3d.recipe import load_recipe, read_yaml
from zero3d.registry import Registry


def sorted_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Those of steps, and those of observers, which change no result.

    Raises:
        RecipeError: another one.
    """
    watching = [override for override in overrides if override.partition("=")[0].startswith("observers.")]
    steps = [override for override in overrides if override.partition("=")[0] == "steps"]
    for override in overrides:
        if override not in [*watching, *steps]:
            remedy = "resume takes steps=N and observers.NAME=... alone; for the rest run the recipe anew"
            raise RecipeError(f"override {override!r}: {remedy}")
    return steps, watching


def change_steps(whole: Path, registry: Registry, overrides: Sequence[str], tell: Callable[[str], None]) -> None:
    """Write the new number of steps into the recipe of a run, of one with stages into its last stage's.

    `overrides`: none, or `steps=N`.
    Schedules in percent follow the new total: from here on they are where the longer run would have been.

    Raises:
        RecipeError: fewer steps than are done.
    """
    if not overrides:
        return
    stages = folder.stage_folders(whole)
    last = stages[-1] if stages else whole
    begun = (last / folder.CHECKPOINT).is_file()
    label = f"stages.{last.name.partition('-')[2]}." if stages else ""
    recipe = load_recipe(whole / folder.RECIPE, registry, [f"{label}{override}" for override in overrides])
    steps = (recipe, *recipe.later)[-1].options.steps
    former = load_recipe(whole / folder.RECIPE, registry)
    before = (former, *former.later)[-1].options.steps
    done = checkpoint.steps_done(last) if begun else 0
    if steps < done:
        raise RecipeError(f"override 'steps={steps}': {last} has done {done} already; take that many or more")
    if steps == before:
        return
    note = f"steps: {before} -> {steps} after step {done}; schedules in percent follow the new total"
    for place in [last, whole] if stages else [whole]:
        if (place / folder.RECIPE).is_file():
            source = read_yaml(place / folder.RECIPE)
            (source if place == last else source["stages"][last.name.partition("-")[2]])["steps"] = steps
            folder.write_recipe(place, source)
            manifest = folder.read_manifest(place)
            notes = manifest.get("notes")
            manifest["notes"] = [*(notes if isinstance(notes, list) else []), note]
            write_text(place / folder.MANIFEST, json.dumps(manifest, indent=2) + "\n")
    tell(f"note: {note}")
