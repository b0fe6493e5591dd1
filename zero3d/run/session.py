"""A run that is open: its folder, its recipe, its engine; how one is made from a recipe and a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zero3d import folder
from zero3d.engine import Engine, input_camera_at
from zero3d.errors import RecipeError
from zero3d.interfaces import ExportSubject, SourcePicture
from zero3d.parts import Parts, build_parts
from zero3d.picture import Framed, frame
from zero3d.recipe import Recipe, load_recipe
from zero3d.registry import Registry
from zero3d.run.pictures import kept_picture

DEFAULT_ELEVATION_DEG = 20.0
"""How far the picture's camera is taken to look down when the recipe does not say."""


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
    """A run's folder as a Session, not yet restored; `teach` loads what guidance needs, else only what drawing does."""
    try:
        recipe = load_recipe(path / folder.RECIPE, registry, overrides)
    except RecipeError as error:
        raise RecipeError(f"{error}{folder.missing_plugins(path, registry)}") from None
    source = kept_picture(path, registry)
    parts = build_parts(recipe)
    engine = make_engine(recipe, parts, frame_picture(recipe, source, parts))
    if teach:
        teach_denoisers(recipe, source, engine)
    else:
        parts.load_decoder()
    return Session(path, recipe, engine, tell)


def out_of(recipe: Recipe) -> Path:
    return Path(str(recipe.options.out))


def frame_picture(recipe: Recipe, source: SourcePicture, parts: Parts) -> Framed:
    """The picture at the largest size that anybody reads."""
    size = max([parts.cameras.resolution, *(d.picture_resolution for d in parts.denoisers.values())])
    return frame(source.rgba, recipe.options.input.framing, size)


def make_engine(recipe: Recipe, parts: Parts, framed: Framed) -> Engine:
    options = recipe.options
    camera = input_camera_at(elevation(recipe))
    return Engine(parts, framed.picture, camera, options.optimizer, options.steps, options.seed)


def teach_denoisers(recipe: Recipe, source: SourcePicture, engine: Engine) -> None:
    """Load the denoisers and show each the picture, framed at its own size."""
    engine.parts.load_teachers()
    for teacher in engine.parts.teachers.values():
        size = teacher.denoiser.picture_resolution
        picture = frame(source.rgba, recipe.options.input.framing, size).picture.to(engine.parts.device)
        teacher.condition = teacher.denoiser.condition(picture, engine.input_camera.resized(size, size))


def elevation(recipe: Recipe) -> float:
    given = recipe.options.input.elevation_deg
    return DEFAULT_ELEVATION_DEG if given is None else given


def elevation_note(recipe: Recipe) -> list[str]:
    if recipe.options.input.elevation_deg is not None:
        return []
    return [f"input.elevation_deg not given: the camera is taken to look down by {DEFAULT_ELEVATION_DEG:g} degrees"]
