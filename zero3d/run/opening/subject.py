"""The subject of a run: its pictures framed and placed, and its prompt."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy
import torch

from zero3d.engine import input_camera_at
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.parts import Parts, choose_device, estimators
from zero3d.picture import Framed, frame
from zero3d.recipe import AUTO, Recipe
from zero3d.run.opening.pictures import Pictures
from zero3d.values import Cameras, ElevationEstimate, PosedPicture, Prompt, Subject

DEFAULT_ELEVATION_DEG = 20.0
"""How far a picture's camera is taken to look down when the recipe does not say."""


@dataclass(frozen=True)
class FramedSubject:
    """A subject at the largest size that anybody reads, its framings by label, and what the user should know of them."""

    subject: Subject
    framed: dict[str, Framed]

    @property
    def notes(self) -> list[str]:
        several = len(self.framed) > 1
        return [f"{label}: {note}" if several else note for label, f in self.framed.items() for note in f.notes]


def frame_subject(recipe: Recipe, pictures: Pictures, parts: Parts) -> FramedSubject:
    """What the engine optimises for; each camera has the size that its view is rendered at.

    Raises:
        PictureError: nothing is opaque in a picture.
        RecipeError: the framing would move the object in pictures whose cameras are known.
    """
    _check_framing(recipe)
    sides = {label: view_size(recipe, parts, label) for label in pictures.rgba}
    readers = [parts.cameras.resolution, *sides.values()]
    readers += [teacher.denoiser.picture_resolution for teacher in parts.teachers.values()]
    readers += [encoder.picture_resolution or 0 for encoder in parts.encoders.values()]
    size = max(readers + ([parts.start.picture_resolution] if parts.start else []))
    framed = {label: _framed(recipe, label, rgba, size) for label, rgba in pictures.rgba.items()}
    posed = tuple(_posed(recipe, label, f, pictures, sides[label]) for label, f in framed.items())
    return FramedSubject(Subject(posed, prompt_of(recipe)), framed)


def subject_at(recipe: Recipe, pictures: Pictures) -> Callable[[int], Subject]:
    """size -> the subject with every picture framed anew at `size` pixels, as a teacher reads it."""

    def at(size: int) -> Subject:
        posed = tuple(
            _posed(recipe, label, _framed(recipe, label, rgba, size), pictures, size)
            for label, rgba in pictures.rgba.items()
        )
        return Subject(posed, prompt_of(recipe))

    return at


def view_size(recipe: Recipe, parts: Parts, label: str) -> int:
    """Side of an input view, pixels."""
    placed = recipe.images[label].placed
    own = placed.resolution if placed else None
    return own or recipe.options.input.resolution or parts.cameras.resolution


def camera_of(recipe: Recipe, label: str) -> Cameras:
    """Where a picture was taken from (one pixel; resize it)."""
    placed = recipe.images[label].placed
    if placed is None:
        return input_camera_at(elevation(recipe))
    if placed.camera_to_world is not None:
        pose = torch.tensor(placed.camera_to_world).reshape(1, 4, 4)
        return Cameras(pose, 1, 1, math.radians(placed.fov_deg))
    up = elevation(recipe) if placed.elevation_deg is None else placed.elevation_deg
    return orbit(up, placed.azimuth_deg, 1, placed.distance, math.radians(placed.fov_deg))


def weight_of(recipe: Recipe, label: str) -> float:
    placed = recipe.images[label].placed
    return placed.view_weight if placed else 1.0


def _framed(recipe: Recipe, label: str, rgba: numpy.ndarray, size: int) -> Framed:
    placed = recipe.images[label].placed
    across, down = placed.principal_point if placed else (0.5, 0.5)
    return frame(rgba, recipe.options.input.framing, size, (across, down))


def _posed(recipe: Recipe, label: str, framed: Framed, pictures: Pictures, side: int) -> PosedPicture:
    """`side`: of its camera's view, pixels."""
    camera = _camera(recipe, label, pictures).resized(side, side)
    return PosedPicture(label, framed.picture, camera, weight_of(recipe, label), framed.window)


def _camera(recipe: Recipe, label: str, pictures: Pictures) -> Cameras:
    """`camera_of` the framed picture: a tall one that is kept is padded to its height, and seen as much wider."""
    camera, (height, width) = camera_of(recipe, label), pictures.rgba[label].shape[:2]
    if recipe.options.input.framing != "keep" or recipe.images[label].placed is None or height <= width:
        return camera
    return replace(camera, fov=2 * math.atan(math.tan(float(camera.fov) / 2) * height / width))


def _check_framing(recipe: Recipe) -> None:
    """Pictures from several places show one object at one size; only "keep" leaves it so."""
    placed = {label: block.placed for label, block in recipe.images.items() if block.placed}
    framing = recipe.options.input.framing
    if framing == "keep" or len(placed) < 2:
        return
    if any(p.camera_to_world for p in placed.values()) or len({(p.distance, p.fov_deg) for p in placed.values()}) > 1:
        raise RecipeError(
            f"{recipe.place('input.framing')}: {framing!r} makes the object as large in every picture, whatever its camera; "
            "with cameras that are known set input.framing=keep"
        )


def prompt_of(recipe: Recipe) -> Prompt | None:
    text = recipe.options.prompt
    return Prompt(text, recipe.options.negative) if text else None


def elevation(recipe: Recipe) -> float:
    """Of the front picture where the recipe does not place it otherwise, degrees."""
    given = recipe.options.input.elevation_deg
    return DEFAULT_ELEVATION_DEG if given == AUTO else float(given)


def seen_from(recipe: Recipe, elevation_deg: Any) -> Recipe:
    """The recipe and its later stages with `auto` taken for these degrees, as in their `source` it is not.

    What is no elevation, as a damaged manifest may hold, changes nothing.
    """
    later = tuple(seen_from(stage, elevation_deg) for stage in recipe.later)
    with contextlib.suppress(ValueError):
        if recipe.options.input.elevation_deg == AUTO and elevation_deg is not None:
            given = replace(recipe.options.input, elevation_deg=elevation_deg)
            return replace(recipe, options=replace(recipe.options, input=given), later=later)
    return replace(recipe, later=later)


def estimate_elevation(
    recipe: Recipe, pictures: Pictures, tell: Callable[[str], None] | None = None
) -> ElevationEstimate | None:
    """What the first part that can tell says of a lone picture whose elevation the recipe leaves open.

    `tell`: of a run, in which they may load and draw, and say so; without it they may not.
    Raises:
        PictureError: nothing is opaque in it.
    """
    alone = [pictures.rgba[label] for label, block in recipe.images.items() if block.placed is None]
    if not alone or all(stage.options.input.elevation_deg != AUTO for stage in (recipe, *recipe.later)):
        return None
    for part in estimators(recipe):
        part.tell, picture = tell or part.tell, frame(alone[0], "fit", part.picture_resolution).picture
        found = part.elevation_of(picture, choose_device(recipe.options.device) if tell else None)
        if found is not None:
            return ElevationEstimate(round(found.mean_deg, 1), round(found.std_deg, 1))
    return None


def estimate_note(found: ElevationEstimate) -> str:
    return f"{found}; input.elevation_deg=… overrides"


def elevation_note(recipe: Recipe, planned: bool = False) -> list[str]:
    """What is assumed where nobody tells; where it is `planned` alone, what a run will estimate."""
    places = [block.placed for block in recipe.images.values()]
    assumed = [p for p in places if p is None or (p.elevation_deg is None and p.camera_to_world is None)]
    if recipe.options.input.elevation_deg != AUTO or not assumed:
        return []
    waiting = [part.elevation_waits for part in estimators(recipe)] if planned and None in places else []
    told = f"input.elevation_deg not given: the camera is taken to look down by {DEFAULT_ELEVATION_DEG:g} degrees"
    return [*filter(None, waiting)][:1] or [told]
