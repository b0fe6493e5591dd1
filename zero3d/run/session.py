"""A run that is open: its folder, its recipe, its engine; how one is made from a recipe and pictures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zero3d import folder
from zero3d.engine import Engine
from zero3d.errors import RecipeError
from zero3d.interfaces import ExportSubject, RunView
from zero3d.parts import Parts, build_parts
from zero3d.recipe import Recipe
from zero3d.registry import Registry
from zero3d.run.pictures import Pictures, kept_pictures
from zero3d.run.standing import load_run_recipe
from zero3d.run.subject import frame_subject, subject_at
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
        raise RecipeError(f"{error}{folder.missing_plugins(path, registry)}") from None
    pictures = kept_pictures(path, recipe)
    parts = build_parts(recipe)
    framed = frame_subject(recipe, pictures, parts)
    if teach:
        load_parts(recipe, pictures, parts)
    else:
        parts.load_decoder()
    engine = make_engine(recipe, parts, framed.subject)
    return Session(path, recipe, engine, tell)


def out_of(recipe: Recipe) -> Path:
    return Path(str(recipe.options.out))


def make_engine(recipe: Recipe, parts: Parts, subject: Subject) -> Engine:
    options = recipe.options
    return Engine(parts, subject, options.optimizer, options.steps, options.seed, options.input.per_step)


def load_parts(recipe: Recipe, pictures: Pictures, parts: Parts) -> None:
    """Load what the optimisation needs and show every teacher the subject, framed at its own size."""
    parts.load()
    parts.condition(subject_at(recipe, pictures))
