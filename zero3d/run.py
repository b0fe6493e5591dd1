"""`run`, `resume` and `export`: from a recipe to a folder with a model in it."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zero3d import checkpoint, folder
from zero3d.engine import Engine, fit, input_camera_at
from zero3d.errors import ExportError, RecipeError
from zero3d.folder import MetricsLog
from zero3d.interfaces import ExportSubject, Representation, RunView, SourcePicture
from zero3d.parts import Parts, build_parts, build_stages
from zero3d.picture import Framed, frame
from zero3d.recipe import Recipe, load_recipe, read_yaml
from zero3d.registry import Registry
from zero3d.values import Cameras, StepTerms

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
        )


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


def say(line: str) -> None:
    """A line for the user, on stderr."""
    print(line, file=sys.stderr, flush=True)


def run(file: str, registry: Registry, overrides: Sequence[str] = (), tell: Callable[[str], None] = say) -> Session:
    """Run a recipe from the start to its exports. Everything cheap is checked before the folder or a weight is touched.

    Raises:
        UserError: the recipe, the picture or the folder cannot be used; nothing was written.
        KeyboardInterrupt: stopped by the user, after the checkpoint was saved.
    """
    recipe = _checked(file, registry, overrides)[0][0]
    return _start((recipe, *recipe.later), _picture(recipe, registry), registry, tell)


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


def _plan(recipe: Recipe, parts: Parts) -> Plan:
    assert recipe.image is not None
    picture = recipe.image.build()
    framed, origin, notes = None, "made when the run starts", []
    if recipe.image.component.name == "file":
        source: SourcePicture = picture.load(recipe.options.input.mask)
        framed, origin = _frame(recipe, source, parts), source.origin
        _engine(recipe, parts, framed)
        notes = [*source.notes, *framed.notes]
    camera = input_camera_at(_elevation(recipe))
    return Plan(_out(recipe), recipe, parts, camera, framed, origin, notes + _elevation_note(recipe))


def resume(run_folder: str, registry: Registry, tell: Callable[[str], None] = say) -> Session:
    """Go on from the checkpoint, and with the stages after it; ends in the same model as a run never interrupted.

    Raises:
        UserError: no run, no checkpoint, or a damaged one.
    """
    whole = folder.whole_run(run_folder)
    path, former, rest = folder.open_run(whole), None, _stages(whole, registry)
    if path != whole or not rest:  # a stage, or the run itself
        session = open_session(path, registry, tell=tell, teach=True)
        _optimise(session, checkpoint.load(session.engine, path))
        rest = rest[[_out(stage).name for stage in rest].index(path.name) + 1 :] if rest else []
        if not rest:
            return session
        former = session.parts.representation
        del session  # its denoisers make room for the next stage's
    return _start(rest, _kept_picture(whole, registry), registry, tell, former)


def export(
    run_folder: str, registry: Registry, overrides: Sequence[str] = (), tell: Callable[[str], None] = say
) -> Session:
    """Write a run's exports again from its last checkpoint, with other options if given.

    Raises:
        UserError: no run, no checkpoint, nothing to export, or no surface in the field.
    """
    path = folder.open_run(run_folder)
    session = open_session(path, registry, overrides, tell)
    checkpoint.load(session.engine, path)
    _export(session)
    return session


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
    source = _kept_picture(path, registry)
    parts = build_parts(recipe)
    engine = _engine(recipe, parts, _frame(recipe, source, parts))
    if teach:
        _teach(recipe, source, engine)
    else:
        parts.load_decoder()
    return Session(path, recipe, engine, tell)


def _checked(file: str, registry: Registry, overrides: Sequence[str]) -> list[tuple[Recipe, Parts]]:
    """What can be told before the picture is read: each stage with its parts."""
    recipe = load_recipe(file, registry, overrides)
    if recipe.image is None:
        raise RecipeError(f"{recipe.place('image')}: missing; give a picture, for example image=examples/mug.png")
    folder.check_out((recipe.whole or recipe.source).get("out"), recipe.options.overwrite)
    return list(zip((recipe, *recipe.later), build_stages(recipe), strict=True))


def _stages(whole: Path, registry: Registry) -> list[Recipe]:
    """The stages of a run, wherever it has moved; none where its recipe has none."""
    if "stages" not in read_yaml(whole / folder.RECIPE):
        return []
    recipe = load_recipe(whole / folder.RECIPE, registry, [f"out={json.dumps(str(whole))}"])
    return [recipe, *recipe.later]


def _out(recipe: Recipe) -> Path:
    return Path(str(recipe.options.out))


def _start(
    recipes: Sequence[Recipe],
    source: SourcePicture,
    registry: Registry,
    tell: Callable[[str], None],
    former: Representation | None = None,
) -> Session:
    """Run stages from their beginning, each from the former one's result; the only one, of a recipe without stages."""
    recipe, out = recipes[0], _out(recipes[0])
    parts = build_parts(recipe)
    framed = _frame(recipe, source, parts)
    engine = _engine(recipe, parts, framed)
    _teach(recipe, source, engine)
    start = former or parts.solid()
    engine.initialise(start)
    notes = [*source.notes, *framed.notes, *_elevation_note(recipe)]
    if parts.representation.starts_from_solid and not start:
        notes.append(f"{recipe.representation.place}: no denoiser knows a solid to start from; it may want more steps")
    manifest = folder.make_manifest(
        registry,
        _components(recipe),
        notes,
        image=source.origin,
        input_elevation_deg=_elevation(recipe),
        input_pixels_per_source_pixel=framed.scale,
        weights=_weight_hashes(parts),
    )
    if recipe.whole is not None and former is None:
        folder.create(out.parent, recipe.whole, source.rgba, manifest)
    folder.create(out, recipe.source, source.rgba, manifest)
    for note in notes:
        tell(f"note: {note}")
    session = Session(out, recipe, engine, tell)
    checkpoint.save(engine, 0, out)
    _optimise(session, 0)
    if len(recipes) == 1:
        return session
    former = parts.representation
    del session, engine, parts  # its denoisers make room for the next stage's
    return _start(recipes[1:], source, registry, tell, former)


def _optimise(session: Session, first_step: int) -> Session:
    engine, every = session.engine, session.recipe.options.checkpoint.every
    view = _run_view(session, first_step)
    observers = session.parts.observers
    log = MetricsLog(session.folder, first_step)
    started = time.monotonic()
    with _stop_on_interrupt() as interrupted:

        def after(index: int, figures: dict[str, float]) -> bool:
            record = {**figures, "seconds": round(time.monotonic() - started, 4)}
            log.write(index, record)
            for observer in observers:
                observer.on_step(view, engine.at(index), record)
            if (index + 1) % every == 0 or index + 1 == engine.total_steps or interrupted():
                checkpoint.save(engine, index + 1, session.folder)
            return interrupted()

        def look(terms: StepTerms) -> dict[str, float]:
            return {name: value for observer in observers for name, value in observer.on_terms(view, terms).items()}

        try:
            for observer in observers:
                observer.on_start(view)
            reached = fit(engine, first_step, after, look)
        finally:
            log.close()
        finished = reached == engine.total_steps
        for observer in observers:
            observer.on_end(view, finished)
    if not finished:
        session.tell(
            f"stopped after step {reached} of {engine.total_steps}; go on with: zero3d resume {session.folder}"
        )
        raise KeyboardInterrupt
    _export(session)
    return session


def _export(session: Session) -> None:
    exporters = session.parts.exporters
    if not exporters:
        session.tell(f"{session.recipe.place('export')}: nothing to export; the checkpoint is kept")
    for label, exporter in exporters.items():
        path = session.folder / exporter.filename(label)
        try:
            report = exporter.export(session.subject(), path)
        except ExportError as error:
            raise ExportError(f"{session.recipe.place(f'export.{label}')}: {error}") from None
        folder.write_atomically(path.with_name(f"{label}.report.yaml"), yaml.safe_dump(report, sort_keys=False))
        session.tell(f"wrote {path} ({', '.join(f'{key} {value}' for key, value in report.items())})")


def _frame(recipe: Recipe, source: SourcePicture, parts: Parts) -> Framed:
    """The picture at the largest size that anybody reads."""
    size = max([parts.cameras.resolution, *(d.picture_resolution for d in parts.denoisers.values())])
    return frame(source.rgba, recipe.options.input.framing, size)


def _engine(recipe: Recipe, parts: Parts, framed: Framed) -> Engine:
    options = recipe.options
    camera = input_camera_at(_elevation(recipe))
    return Engine(parts, framed.picture, camera, options.optimizer, options.steps, options.seed)


def _teach(recipe: Recipe, source: SourcePicture, engine: Engine) -> None:
    """Load the denoisers and show each the picture, framed at its own size."""
    engine.parts.load_teachers()
    for teacher in engine.parts.teachers.values():
        size = teacher.denoiser.picture_resolution
        picture = frame(source.rgba, recipe.options.input.framing, size).picture.to(engine.parts.device)
        teacher.condition = teacher.denoiser.condition(picture, engine.input_camera.resized(size, size))


def _picture(recipe: Recipe, registry: Registry) -> SourcePicture:
    """The recipe's picture with a mask. One that was made, and in which no object is found, is kept beside `out`."""
    out = Path((recipe.whole or recipe.source)["out"])
    assert recipe.image is not None
    mask = recipe.options.input.mask
    source: SourcePicture = recipe.image.build().load(mask)
    if source.masked:
        return source
    made = out.with_name(f"{out.name}.{folder.PICTURE}")
    folder.save_picture(source.rgba, made)
    found = _read_picture(made, registry, mask)
    made.unlink()
    return SourcePicture(found.rgba, source.notes + found.notes, source.origin)


def _kept_picture(path: Path, registry: Registry) -> SourcePicture:
    """The run's own copy, so that the folder can move and the original can go."""
    return _read_picture(path / folder.PICTURE, registry, "alpha")


def _read_picture(file: Path, registry: Registry, mask: str | None) -> SourcePicture:
    source = registry.get("image_source", "file", str(file))
    picture: SourcePicture = source(source.Config(path=str(file))).load(mask)  # type: ignore[attr-defined]
    return picture


def _run_view(session: Session, first_step: int) -> RunView:
    engine = session.engine
    return RunView(
        folder=session.folder,
        steps=engine.total_steps,
        first_step=first_step,
        picture=engine.picture,
        input_camera=engine.input_camera,
        draw=engine.draw,
        decode=session.parts.decode,
        resolution=session.parts.cameras.resolution,
    )


def _elevation(recipe: Recipe) -> float:
    given = recipe.options.input.elevation_deg
    return DEFAULT_ELEVATION_DEG if given is None else given


def _elevation_note(recipe: Recipe) -> list[str]:
    if recipe.options.input.elevation_deg is not None:
        return []
    return [f"input.elevation_deg not given: the camera is taken to look down by {DEFAULT_ELEVATION_DEG:g} degrees"]


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


@contextlib.contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a wish to stop after the current step; a second one stops at once."""
    wished = False

    def handler(signum: int, stack: Any) -> None:
        nonlocal wished
        if wished:
            raise KeyboardInterrupt
        wished = True

    try:
        former = signal.signal(signal.SIGINT, handler)
    except ValueError:  # not the main thread: whoever embeds us keeps the signal
        yield lambda: False
        return
    try:
        yield lambda: wished
    finally:
        signal.signal(signal.SIGINT, former)
