"""A run that is open: its folder, its recipe, its engine; how one is made from a recipe and pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zero3d import folder
from zero3d.engine import Engine
from zero3d.errors import RecipeError
from zero3d.interfaces import ExportSubject, Observer, RunView
from zero3d.parts import Parts, build_parts
from zero3d.recipe import Recipe, RecipeText, load_recipe, make_block
from zero3d.registry import Registry
from zero3d.run.opening.pictures import Pictures, kept_pictures
from zero3d.run.opening.subject import frame_subject, seen_from, subject_at
from zero3d.values import Subject


@dataclass
class Session:
    """A run that is open: where, what, and the engine."""

    folder: Path
    recipe: Recipe
    engine: Engine
    tell: Callable[[str], None]

    @property
    def parts(self) -> Parts:
        return self.engine.parts

    def subject(self) -> ExportSubject:
        """What exporters and evaluation see of it."""
        return ExportSubject(
            representation=self.parts.representation,
            draw=self.engine.draw,
            decode=self.parts.decode,
            decodes_pixelwise=self.parts.latent_denoiser is None,
            input_camera=self.engine.input_camera,
            resolution=self.parts.cameras.resolution,
            picture=self.engine.picture,
            tell=self.tell,
            framed_at=lambda size: subject_at(self.recipe, kept_pictures(self.folder, self.recipe))(size),
        )

    def view(self, first_step: int) -> RunView:
        """What observers see of it."""
        return RunView(
            folder=self.folder,
            steps=self.engine.total_steps,
            first_step=first_step,
            picture=self.engine.picture,
            input_camera=self.engine.input_camera,
            draw=self.engine.draw,
            decode=self.parts.decode,
            resolution=self.parts.cameras.resolution,
            representation=self.parts.representation,
        )


def say(line: str) -> None:
    """A line for the user, on stderr."""
    print(line, file=sys.stderr, flush=True)


def open_session(
    path: Path,
    registry: Registry,
    overrides: Sequence[str] = (),
    tell: Callable[[str], None] = say,
    teach: bool = False,
) -> Session:
    """A run's folder as a Session, not yet restored; `teach` loads what optimising needs, else only what rendering does."""
    try:
        recipe = load_run_recipe(path / folder.RECIPE, registry, overrides)
    except RecipeError as error:
        raise RecipeError(f"{error}{folder.made_otherwise(path, registry)}") from None
    other = folder.other_version(path)
    if other:
        tell(f"note: {path} was {other}")
    recipe = seen_from(recipe, folder.read_manifest(path).get("input_elevation_deg"))
    pictures = kept_pictures(path, recipe)
    parts = build_parts(recipe)
    framed = frame_subject(recipe, pictures, parts)
    if teach:
        load_parts(recipe, pictures, parts)
    else:
        parts.load_decoder()
    engine = make_engine(recipe, parts, framed.subject)
    return Session(path, recipe, engine, tell)


def check_observers(recipes: Sequence[Recipe]) -> None:
    """Raises UserError: one of a stage's observers cannot work here and now."""
    for block in (block for recipe in recipes for block in recipe.observers.values()):
        block.build().check()


def out_of(recipe: Recipe) -> Path:
    return Path(str(recipe.options.out))


def make_engine(recipe: Recipe, parts: Parts, subject: Subject) -> Engine:
    options = recipe.options
    return Engine(parts, subject, options.optimizer, options.steps, options.seed, options.input.per_step)


def load_parts(recipe: Recipe, pictures: Pictures, parts: Parts) -> None:
    """Load what the optimisation needs and show every teacher the subject, framed at its own size."""
    parts.load()
    parts.condition(subject_at(recipe, pictures))


def load_run_recipe(
    file: str | Path | RecipeText,
    registry: Registry,
    overrides: Sequence[str] = (),
    default_out: Callable[[Mapping[str, Any]], str] | None = None,
) -> Recipe:
    """`load_recipe`, and in every stage the observers that are `always` there.

    Raises:
        RecipeError: as `load_recipe`.
    """
    recipe = load_recipe(file, registry, overrides, default_out)
    later = tuple(_observed(stage, registry) for stage in recipe.later)
    return replace(_observed(recipe, registry), later=later)


def _observed(recipe: Recipe, registry: Registry) -> Recipe:
    """What the recipe says of an observer, that it wants none of it too, stays; one of another label counts."""
    named = recipe.source.get("observers", {})
    if named is None:
        return recipe
    taken = {*map(str, named), *(block.component.name for block in recipe.observers.values())}
    found = [entry.component for entry in registry.all(Observer.kind) if issubclass(entry.component, Observer)]
    names = dict.fromkeys(kind.name for kind in found if kind.always and kind.name not in taken)
    own = {name: make_block(registry, "observer", recipe.file, f"observers.{name}", {}, name) for name in names}
    return replace(recipe, observers={**recipe.observers, **own})
