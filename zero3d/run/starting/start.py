"""`run`: from a recipe to a folder with a model in it; and what it would do, `plan`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from zero3d import checkpoint, folder
from zero3d.errors import RecipeError
from zero3d.interfaces import Representation
from zero3d.parts import Parts, build_parts, build_stages
from zero3d.recipe import BLOCK_MAPS, SINGLE_BLOCKS, Block, Recipe, RecipeText, recipe_file
from zero3d.registry import Registry
from zero3d.run.opening.pictures import Pictures, load_pictures
from zero3d.run.opening.session import Session, check_observers, load_parts, load_run_recipe, make_engine, out_of, say
from zero3d.run.opening.subject import (
    FramedSubject,
    camera_of,
    elevation,
    elevation_note,
    estimate_elevation,
    estimate_note,
    frame_subject,
    seen_from,
    subject_at,
)
from zero3d.run.optimise import REPORTED, optimise
from zero3d.run.starting.new_folder import free_out, reserving
from zero3d.values import Cameras, ElevationEstimate


@dataclass
class Plan:
    """What a run would do; its parts are built and not loaded; small weights may be read, to estimate the elevation.

    `input_cameras`: label -> where that picture was taken from. `framed` is None while a picture is still to be made;
    `origin`: where the pictures come from, in words.
    """

    folder: Path
    recipe: Recipe
    parts: Parts
    input_cameras: dict[str, Cameras]
    framed: FramedSubject | None
    origin: str
    notes: list[str]


@contextlib.contextmanager
def reporting_a_stop(tell: Callable[[str], None], *known: Path) -> Iterator[list[Path]]:
    """Says by `tell` what Ctrl-C left, where `optimise` has not. The run's folder is `known`, or put into the list that it
    gives."""
    place = list(known)
    try:
        yield place
    except KeyboardInterrupt as stop:
        if REPORTED not in stop.args:
            kept = place and all((place[0] / name).is_file() for name in (folder.MANIFEST, folder.RECIPE))
            go_on = f"stopped; go on with: zero3d resume {place[0]}" if kept else ""
            tell(go_on or "stopped before the first step; nothing was kept")
        raise


def run(
    file: str | RecipeText, registry: Registry, overrides: Sequence[str] = (), tell: Callable[[str], None] = say
) -> Session:
    """Run a recipe from the start to its exports. Everything cheap is checked before the folder or a weight is touched.

    `file`: a recipe's name or path. A recipe without `out` runs in runs/RECIPE-PICTURE, which is told first.
    Raises:
        UserError: the recipe, the picture or the folder cannot be used; nothing was written.
        KeyboardInterrupt: stopped by the user; a line says what is kept.
    """
    with reporting_a_stop(tell) as place, reserving(file) as take:
        recipe = _checked(file, registry, overrides, take)[0][0]
        check_observers((recipe, *recipe.later))
        whole = recipe.whole or recipe.source
        place.append(Path(whole["out"]))
        with folder.claimed(Path(whole["out"]), recipe.options.overwrite, _files_read(file, whole)):
            pictures = load_pictures(recipe, registry)
            tell(f"out: {whole['out']}")
            request: dict[str, Any] = {"recipe": str(file), "overrides": list(overrides)}
            found = estimate_elevation(recipe, pictures, tell)
            if found is not None:
                recipe = seen_from(recipe, found.mean_deg)
                pictures = replace(pictures, notes=(*pictures.notes, estimate_note(found)))
                request["input_elevation_std_deg"] = found.std_deg
            return start_stages((recipe, *recipe.later), pictures, registry, tell, fresh=True, request=request)


def plan(file: str | RecipeText, registry: Registry, overrides: Sequence[str] = ()) -> Plan:
    """What `run` would do first, after all its checks that load no part. Nothing is written, no picture made.

    Raises:
        UserError: the recipe, the picture or the folder cannot be used.
    """
    return plans(file, registry, overrides)[0]


def plans(file: str | RecipeText, registry: Registry, overrides: Sequence[str] = ()) -> list[Plan]:
    """`plan` of every stage; of a recipe without stages, its one.

    Raises:
        UserError: as `plan`.
    """
    checked = _checked(file, registry, overrides, partial(free_out, file))
    return [_plan(recipe, parts, registry) for recipe, parts in checked]


def check(file: str | RecipeText, registry: Registry, overrides: Sequence[str] = ()) -> list[tuple[Recipe, Parts]]:
    """Each stage with its parts, after the checks of `plan`; a recipe may leave its `image` and `out` to who runs it.

    How far the picture's camera looks down makes no recipe better or worse: it is not estimated.

    Raises:
        UserError: as `plan`, for what the recipe names.
    """
    found = _checked(file, registry, overrides)
    for recipe, parts in found:
        if recipe.images and _are_files(recipe):
            make_engine(recipe, parts, _framed(recipe, load_pictures(recipe, registry), parts).subject)
    return found


def elevation_of(
    file: str | RecipeText, registry: Registry, overrides: Sequence[str] = ()
) -> tuple[float, ElevationEstimate | None]:
    """How far down the camera of a recipe's picture looks as `run` would take it, degrees, and the estimate if that is one.

    Only what estimates is built; a picture that is still to be made has no estimate.

    Raises:
        UserError: the recipe or the picture cannot be used.
    """
    recipe = load_run_recipe(file, registry, overrides)
    found = estimate_elevation(recipe, load_pictures(recipe, registry)) if _are_files(recipe) else None
    return found.mean_deg if found else elevation(recipe), found


def check_lines(file: str | RecipeText, registry: Registry, overrides: Sequence[str] = ()) -> list[str]:
    """What `zero3d recipe check` says of each stage.

    Raises:
        UserError: as `check`.
    """
    lines = []
    for stage, parts in check(file, registry, overrides):
        weights = {t.label: t.weight for t in parts.guidances} | {t.label: t.weight for t in parts.regularizers}
        terms = [f"{label} (weight {weight.extremes[1]:g})" for label, weight in weights.items()]
        wanted = " and ".join(f"a {what}" for what in sorted(_needs(stage)))
        wanted = wanted or ("a picture or a prompt" if stage.encoders else "a picture")
        good = "good" if stage.subject else f"good, once it is given {wanted}"
        lines.append(f"{stage.file}: {good}. {stage.options.steps} steps on {parts.device}; terms: {', '.join(terms)}")
    return lines


def _are_files(recipe: Recipe) -> bool:
    """Whether all its pictures are there already."""
    return all(block.component.reads_paths for block in recipe.images.values())


def _plan(recipe: Recipe, parts: Parts, registry: Registry) -> Plan:
    """Of one stage."""
    framed, origin, notes = None, "none: the recipe has a prompt alone", []
    if _are_files(recipe):
        pictures = load_pictures(recipe, registry)
        found = estimate_elevation(recipe, pictures)
        recipe = seen_from(recipe, found.mean_deg) if found else recipe
        framed = _framed(recipe, pictures, parts)
        origin = ", ".join((pictures.origins or {}).values()) or origin
        make_engine(recipe, parts, framed.subject)
        notes = [*pictures.notes, *([estimate_note(found)] if found else []), *framed.notes]
    else:
        origin = "made when the run starts"
    cameras = {label: camera_of(recipe, label) for label in recipe.images}
    cameras |= {posed.label: posed.camera for posed in framed.subject.pictures} if framed else {}
    return Plan(out_of(recipe), recipe, parts, cameras, framed, origin, notes + elevation_note(recipe, planned=True))


def _framed(recipe: Recipe, pictures: Pictures, parts: Parts) -> FramedSubject:
    framed = frame_subject(recipe, pictures, parts)
    if parts.start is not None:
        parts.start.check(framed.subject)
    return framed


def _needs(recipe: Recipe) -> set[str]:
    """ "picture" and "prompt", as far as its teachers' classes say that they need them."""
    return {need for block in recipe.denoisers.values() for need in block.component.needs}


def nothing_given(recipe: Recipe) -> str:
    """A line for a recipe without a picture and without words."""
    needs = _needs(recipe)
    if needs == {"prompt"}:
        return f'{recipe.place("prompt")}: missing; say what is wanted, for example prompt="a cat"'
    line = f"{recipe.place('image')}: missing; give a picture, for example image=examples/mug.png"
    if "prompt" in needs:
        return f'{line}, and words, for example prompt="a cat"'
    return f'{line}, or words, for example prompt="a cat"' if recipe.encoders and not needs else line


def _checked(
    file: str | RecipeText,
    registry: Registry,
    overrides: Sequence[str],
    default_out: Callable[[Mapping[str, Any]], str] | None = None,
) -> list[tuple[Recipe, Parts]]:
    """What can be told before a picture is read: each stage with its parts.

    `default_out`: names the folder of a run that is to be, where the recipe does not; without it subject and folder may be
    left to be given.
    """
    recipe = load_run_recipe(file, registry, overrides, default_out)
    if not recipe.subject and default_out:
        raise RecipeError(nothing_given(recipe))
    source = recipe.whole or recipe.source
    if source.get("out") is not None:
        folder.check_out(source["out"], recipe.options.overwrite, _files_read(file, source))
    return list(zip((recipe, *recipe.later), build_stages(recipe), strict=True))


def _files_read(file: str | RecipeText, source: Mapping[str, Any]) -> list[Path]:
    """The recipe's file, and every file that a value of it names."""
    found, values = [recipe_file(file)] if isinstance(file, str) else [], list(source.values())
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
    pictures: Pictures,
    registry: Registry,
    tell: Callable[[str], None],
    former: Representation | None = None,
    fresh: bool = False,
    request: Mapping[str, Any] | None = None,
) -> Session:
    """Run stages from their beginning, each from the former one's result; the only one, of a recipe without stages.

    `fresh`: the first of them makes the run's folder, in place of a former run's files. `request`: what the manifests keep
    of the call: recipe, overrides, and the deviation of an estimated elevation.
    """
    recipe, out = recipes[0], out_of(recipes[0])
    parts = build_parts(recipe)
    framed = _framed(recipe, pictures, parts)
    load_parts(recipe, pictures, parts)
    engine = make_engine(recipe, parts, framed.subject)
    hashes = _weight_hashes(parts)
    if parts.start is not None:
        parts.start.tell = tell
    begun = time.monotonic()
    beginning = former if former is not None else parts.reconstructed(subject_at(recipe, pictures), engine.at(0))
    made: dict[str, Any] = {}
    if parts.start is not None and former is None:
        seconds = round(time.monotonic() - begun, 3)
        made["start"] = {"type": parts.start.name, "seconds": seconds, **parts.start.details()}
    engine.initialise(beginning)
    del beginning, former  # theirs, and the reconstructor's weights, is memory that the optimisation has
    parts.start = None
    notes = [*pictures.notes, *framed.notes, *elevation_note(recipe)]
    manifest = folder.make_manifest(
        registry,
        _components(recipe),
        notes,
        image=_only(pictures.origins or {}),
        input_elevation_deg=elevation(recipe),
        input_pixels_per_source_pixel=_only({label: f.scale for label, f in framed.framed.items()}),
        weights=hashes,
        precision={label: str(denoiser.dtype).removeprefix("torch.") for label, denoiser in parts.denoisers.items()},
        **made,
        **(request or {}),
    )
    if fresh:
        for place in {out_of(stage).parent if stage.whole else out: None for stage in recipes}:
            folder.clear(place, registry)
        if recipe.whole is not None:
            folder.create(out.parent, recipe.whole, pictures.rgba, manifest)
    if fresh or not folder.is_whole(out, recipe.images):  # else it was killed before its first checkpoint
        folder.create(out, recipe.source, pictures.rgba, manifest)
    for note in notes:
        tell(f"note: {note}")
    session = Session(out, recipe, engine, tell)
    checkpoint.save(engine, 0, out)
    optimise(session, 0)
    if len(recipes) == 1:
        return session
    former = parts.representation
    del session, engine, parts  # its denoisers make room for the next stage's
    return start_stages(recipes[1:], pictures, registry, tell, former, request=request)


def _only(labelled: Mapping[str, Any]) -> Any:
    """Of one picture its value, of several all by label."""
    return next(iter(labelled.values())) if len(labelled) == 1 else dict(labelled)


def _components(recipe: Recipe) -> dict[str, str]:
    found = {key: block for key in SINGLE_BLOCKS if isinstance(block := getattr(recipe, key, None), Block)}
    several = "images" in recipe.source
    found = {key: block for key, block in found.items() if key != "image" or not several}
    for key in BLOCK_MAPS:
        if key != "images" or several:
            found |= {f"{key}.{label}": block for label, block in getattr(recipe, key).items()}
    return {key: f"{b.component.__module__}.{b.component.__qualname__}" for key, b in found.items()}


def _weight_hashes(parts: Parts) -> dict[str, Any]:
    """By key in the recipe, the files that a component read with their sha256."""
    files = {key: component.weight_files() for key, component in parts.components()}
    files |= {"start": parts.start.weight_files()} if parts.start else {}
    return {key: folder.file_hashes(paths) for key, paths in files.items() if paths}
