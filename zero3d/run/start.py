"""`run`: from a recipe to a folder with a model in it; and what it would do, `plan`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d import checkpoint, folder
from zero3d.engine import input_camera_at
from zero3d.errors import RecipeError
from zero3d.interfaces import Representation, SourcePicture
from zero3d.parts import Parts, build_parts, build_stages
from zero3d.picture import Framed
from zero3d.recipe import Recipe, load_recipe
from zero3d.registry import Registry
from zero3d.run.optimise import optimise
from zero3d.run.pictures import load_picture
from zero3d.run.session import (
    Session,
    elevation,
    elevation_note,
    frame_picture,
    make_engine,
    out_of,
    say,
    teach_denoisers,
)
from zero3d.values import Cameras


@dataclass
class Plan:
    """What a run would do; its parts are built, no weight is read. `framed` is None for a picture that the run makes."""

    folder: Path
    recipe: Recipe
    parts: Parts
    input_camera: Cameras
    framed: Framed | None
    origin: str
    notes: list[str]


def run(file: str, registry: Registry, overrides: Sequence[str] = (), tell: Callable[[str], None] = say) -> Session:
    """Run a recipe from the start to its exports. Everything cheap is checked before the folder or a weight is touched.

    Raises:
        UserError: the recipe, the picture or the folder cannot be used; nothing was written.
        KeyboardInterrupt: stopped by the user, after the checkpoint was saved.
    """
    recipe = _checked(file, registry, overrides)[0][0]
    whole = recipe.whole or recipe.source
    with folder.claimed(Path(whole["out"]), recipe.options.overwrite, _files_read(file, whole)):
        stages = (recipe, *recipe.later)
        return start_stages(stages, load_picture(recipe, registry), registry, tell, fresh=True)


def plan(file: str, registry: Registry, overrides: Sequence[str] = ()) -> Plan:
    """What `run` would do first, after all its checks that read no weight. Nothing is written, no picture made.

    Raises:
        UserError: the recipe, the picture or the folder cannot be used.
    """
    return plans(file, registry, overrides)[0]


def plans(file: str, registry: Registry, overrides: Sequence[str] = ()) -> list[Plan]:
    """`plan` of every stage; of a recipe without stages, its one.

    Raises:
        UserError: as `plan`.
    """
    return [_plan(recipe, parts) for recipe, parts in _checked(file, registry, overrides)]


def check(file: str, registry: Registry, overrides: Sequence[str] = ()) -> list[tuple[Recipe, Parts]]:
    """Each stage with its parts, after the checks of `plan`; a recipe may leave its `image` and `out` to who runs it.

    Raises:
        UserError: as `plan`, for what the recipe names.
    """
    found = _checked(file, registry, overrides, whole=False)
    for recipe, parts in found:
        if recipe.image is not None:
            _plan(recipe, parts)
    return found


def _plan(recipe: Recipe, parts: Parts) -> Plan:
    assert recipe.image is not None
    picture = recipe.image.build()
    framed, origin, notes = None, "made when the run starts", []
    if recipe.image.component.name == "file":
        source: SourcePicture = picture.load(recipe.options.input.mask)
        framed, origin = frame_picture(recipe, source, parts), source.origin
        make_engine(recipe, parts, framed)
        notes = [*source.notes, *framed.notes]
    camera = input_camera_at(elevation(recipe))
    return Plan(out_of(recipe), recipe, parts, camera, framed, origin, notes + elevation_note(recipe))


def _checked(file: str, registry: Registry, overrides: Sequence[str], whole: bool = True) -> list[tuple[Recipe, Parts]]:
    """What can be told before the picture is read: each stage with its parts. `whole`: nothing may be left to be given."""
    recipe = load_recipe(file, registry, overrides)
    if recipe.image is None and whole:
        raise RecipeError(f"{recipe.place('image')}: missing; give a picture, for example image=examples/mug.png")
    source = recipe.whole or recipe.source
    if source.get("out") is not None or whole:
        folder.check_out(source.get("out"), recipe.options.overwrite, _files_read(file, source))
    return list(zip((recipe, *recipe.later), build_stages(recipe), strict=True))


def _files_read(file: str, source: Mapping[str, Any]) -> list[Path]:
    """The recipe's file, and every file that a value of it names."""
    found, values = [Path(file)], list(source.values())
    while values:
        value = values.pop()
        if isinstance(value, Mapping | list):
            values += value.values() if isinstance(value, Mapping) else value
        elif isinstance(value, str):
            with contextlib.suppress(OSError, ValueError):  # no path at all
                found += [Path(value)] if Path(value).is_file() else []
    return found


def start_stages(
    recipes: Sequence[Recipe],
    source: SourcePicture,
    registry: Registry,
    tell: Callable[[str], None],
    former: Representation | None = None,
    fresh: bool = False,
) -> Session:
    """Run stages from their beginning, each from the former one's result; the only one, of a recipe without stages.

    `fresh`: the first of them makes the run's folder, in place of a former run's files.
    """
    recipe, out = recipes[0], out_of(recipes[0])
    parts = build_parts(recipe)
    framed = frame_picture(recipe, source, parts)
    engine = make_engine(recipe, parts, framed)
    teach_denoisers(recipe, source, engine)
    start = former or parts.solid()
    engine.initialise(start)
    notes = [*source.notes, *framed.notes, *elevation_note(recipe)]
    if parts.representation.starts_from_solid and not start:
        notes.append(f"{recipe.representation.place}: no denoiser knows a solid to start from; it may want more steps")
    manifest = folder.make_manifest(
        registry,
        _components(recipe),
        notes,
        image=source.origin,
        input_elevation_deg=elevation(recipe),
        input_pixels_per_source_pixel=framed.scale,
        weights=_weight_hashes(parts),
        precision={label: str(denoiser.dtype).removeprefix("torch.") for label, denoiser in parts.denoisers.items()},
    )
    if fresh:
        for place in {out_of(stage).parent if stage.whole else out: None for stage in recipes}:
            folder.clear(place, registry)
        if recipe.whole is not None:
            folder.create(out.parent, recipe.whole, source.rgba, manifest)
    if fresh or not (out / folder.PICTURE).is_file():  # else it was killed before its first checkpoint
        folder.create(out, recipe.source, source.rgba, manifest)
    for note in notes:
        tell(f"note: {note}")
    session = Session(out, recipe, engine, tell)
    checkpoint.save(engine, 0, out)
    optimise(session, 0)
    if len(recipes) == 1:
        return session
    former = parts.representation
    del session, engine, parts  # its denoisers make room for the next stage's
    return start_stages(recipes[1:], source, registry, tell, former)


def _components(recipe: Recipe) -> dict[str, str]:
    single = {"cameras": recipe.cameras, "representation": recipe.representation, "renderer": recipe.renderer}
    maps = {
        f"{key}.{label}": block
        for key in ("denoisers", "guidance", "regularizers", "observers", "export")
        for label, block in getattr(recipe, key).items()
    }
    return {key: f"{b.component.__module__}.{b.component.__qualname__}" for key, b in {**single, **maps}.items()}


def _weight_hashes(parts: Parts) -> dict[str, Any]:
    """Per denoiser, the files it read with their sha256."""
    files = {label: denoiser.weight_files() for label, denoiser in parts.denoisers.items()}
    return {label: folder.file_hashes(paths) for label, paths in files.items() if paths}
