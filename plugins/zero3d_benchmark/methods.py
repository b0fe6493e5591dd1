"""A method of a benchmark: the recipe that it runs, and whether it can."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from zero3d.errors import RecipeError, UserError
from zero3d.interfaces import EvaluationObject
from zero3d.mesh_files import FORMATS
from zero3d.recipe import RecipeText
from zero3d.registry import Registry
from zero3d.run import check, one_shot
from zero3d_benchmark.options import MethodOptions
from zero3d_benchmark.protocol import Protocol
from zero3d_benchmark.views_command import check_views

_DISC = numpy.where(numpy.hypot(*(numpy.mgrid[-1:1:96j, -1:1:96j]))[..., None] < 0.6, [200, 90, 40, 255], 0).astype(
    numpy.uint8
)
"""A picture to check recipes with."""


def recipe_of(method: MethodOptions, registry: Registry) -> tuple[str | RecipeText, list[str]]:
    """The recipe that a method runs, and its overrides."""
    if method.reconstructor:
        config = registry.get("reconstructor", method.reconstructor, "reconstructor").Config
        own = {option.name for option in dataclasses.fields(config)}
        given = {f"start.{key}" if key in own else key: value for key, value in method.options.items()}
        return one_shot(method.reconstructor, registry), [_override(pair) for pair in given.items()]
    assert method.recipe is not None
    return method.recipe, [_override(pair) for pair in _flat(method.options)]


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """key.path and value of options that may be nested, as key=value on the command line nests them; a block with a type
    of its own stays whole."""
    for key, value in options.items():
        if isinstance(value, Mapping) and value and "type" not in value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _override(pair: tuple[str, Any]) -> str:
    key, value = pair
    return f"{key}={value if isinstance(value, str) else json.dumps(value)}"


def check_method(
    method: MethodOptions, place: str, registry: Registry, objects: Sequence[EvaluationObject], protocol: Protocol
) -> None:
    """What can be known of a method before it runs: names, options, its recipe, weights and folders that are not there.

    Raises:
        UserError: it cannot run; the line begins with `place`.
    """
    if method.predictions:
        _check_predictions(Path(method.predictions), place, objects)
    elif method.views:
        if protocol.targets is None:
            raise RecipeError(
                f"{place}.views: draws pictures, and protocol {protocol.id} asks for none here; leave it out"
            )
        try:
            check_views(method, registry)
        except UserError as error:
            raise RecipeError(f"{place}: {error}") from None
    elif not method.oracle:
        if method.reconstructor:
            registry.get("reconstructor", method.reconstructor, f"{place}.reconstructor")
        with tempfile.TemporaryDirectory() as folder:
            shown = Path(folder) / "picture.png"
            Image.fromarray(_DISC, "RGBA").save(shown)
            try:
                file, overrides = recipe_of(method, registry)
                check(file, registry, [*given(method, shown, 20.0), *overrides])
            except UserError as error:
                raise RecipeError(f"{place}: {error}") from None


def given(method: MethodOptions, picture: Path, elevation_deg: float) -> list[str]:
    """The overrides that give every run its picture; the method's own options come after them."""
    overrides = [f"{method.picture}={json.dumps(str(picture))}", "observers={}", "input.mask=alpha"]
    return [*overrides, f"input.elevation_deg={elevation_deg:.6f}"] if method.tell_elevation else overrides


def _check_predictions(folder: Path, place: str, objects: Sequence[EvaluationObject]) -> None:
    if not folder.is_dir():
        raise RecipeError(f"{place}.predictions: {folder}: no such folder")
    if not any(prediction_file(folder, one.name) or (folder / one.name).is_dir() for one in objects):
        raise RecipeError(
            f"{place}.predictions: {folder}: nothing for any of {len(objects)} objects; expected OBJECT.glb (obj, ply, stl) "
            f"or OBJECT/NNN.png, with the set's names, such as {objects[0].name}.glb"
        )


def prediction_file(folder: Path, name: str) -> Path | None:
    """The mesh that an outside method made of an object; None if there is none."""
    places = [folder / f"{name}.{kind}" for kind in FORMATS]
    return next((path for path in places if path.is_file()), None)
