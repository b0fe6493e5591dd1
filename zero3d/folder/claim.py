"""Taking a folder for a new run: by one process at a time, and never anything in it that is not ours."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from zero3d.errors import RecipeError, RunError
from zero3d.files import LEFTOVER, cannot_write, lock, remove_leftovers, replacing, write_text
from zero3d.files.labels import is_file_name
from zero3d.folder.exported import REPORT
from zero3d.folder.layout import (
    CHECKPOINT,
    MANIFEST,
    METRICS,
    PICTURE,
    PICTURES,
    RECIPE,
    picture_name,
    read_manifest,
    stage_folders,
)
from zero3d.interfaces import Observer
from zero3d.mesh_files import FORMATS
from zero3d.recipe import read_yaml
from zero3d.registry import Registry


def check_out(out: str | None, overwrite: bool, reads: Iterable[Path] = ()) -> Path:
    """The folder a run may write, not yet made. `reads`: the files that the run reads.

    Raises:
        RunError: none given, not empty (and not to be overwritten, no run's folder, or one the run reads from), or not
            writable.
    """
    if not out:
        raise RunError("out: missing; say where the run goes, for example out=runs/cat")
    folder = Path(out)
    try:
        if folder.exists() and not folder.is_dir():
            raise RunError(f"out: {folder} is a file; name a folder")
        if folder.is_dir() and not _is_free(folder):
            _check_former(folder, overwrite, reads)
        parent = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        with tempfile.TemporaryDirectory(dir=parent):  # trying tells more than permission bits, which root ignores
            return folder
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"out: {str(folder)!r} cannot be made or written ({reason}); take another folder") from None


def _is_free(folder: Path) -> bool:
    """Empty, or with no more in it than a run that was killed before it had all its first files."""
    names = {entry.name for entry in folder.iterdir() if not LEFTOVER.fullmatch(entry.name)} - {lock.NAME}
    return not names or (names <= {MANIFEST, RECIPE, PICTURES} and bool(read_manifest(folder)))


def _check_former(folder: Path, overwrite: bool, reads: Iterable[Path]) -> None:
    if not overwrite:
        raise RunError(f"out: {folder} is not empty; take another folder, overwrite=true, or `zero3d resume {folder}`")
    if not read_manifest(folder):
        raise RunError(
            f"out: {folder} is no run's folder (no {MANIFEST} of ours), so overwrite=true does not take it; take another"
        )
    for path in reads:
        if path.resolve().is_relative_to(folder.resolve()):
            raise RunError(f"out: {folder} holds {path}, which this run reads; take another folder")


@contextlib.contextmanager
def claimed(folder: Path, overwrite: bool, reads: Iterable[Path] = ()) -> Iterator[None]:
    """Hold `folder` for a new run during the block; it is made, and goes again if nothing was written into it.

    Raises:
        RunError: as `check_out`; or another process is writing there.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"out: {folder} cannot be made ({error.strerror}); take another folder") from None
    try:
        with lock.only_writer(folder, f"out: {folder}"):
            check_out(str(folder), overwrite, reads)  # again, now that nobody else of us writes
            remove_leftovers(folder)
            yield
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # there is something in it
                path.rmdir()


def create(folder: Path, recipe: dict[str, Any], pictures: Mapping[str, Any], manifest: str) -> None:
    """Write the resolved recipe, the pictures and the manifest, which comes first: it says whose the folder is.

    Args:
        pictures: label -> (H, W, 4) uint8.

    Raises:
        WriteError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(exist_ok=True)
        write_text(folder / MANIFEST, manifest)
        write_recipe(folder, recipe)
        if len(pictures) > 1:
            (folder / PICTURES).mkdir(exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    for label, picture in pictures.items():
        save_picture(picture, folder / picture_name(label, pictures))


def write_recipe(folder: Path, recipe: dict[str, Any]) -> None:
    """Replace the folder's recipe.yaml."""
    write_text(folder / RECIPE, yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True))


def save_picture(picture: Any, path: Path) -> None:
    """Write (H, W, 4) uint8 as PNG."""
    with replacing(path) as temporary:
        Image.fromarray(picture, "RGBA").save(temporary, format="PNG")


def clear(folder: Path, registry: Registry) -> None:
    """Remove a former run's files, all but its manifest, which the next one replaces. What is not ours stays.

    Ours are: what the core writes, the files that an export's report names, and what observers say that they write.

    Raises:
        WriteError: something cannot be removed.
    """
    manifest = read_manifest(folder)
    if not manifest:
        return
    try:
        stages = stage_folders(folder)
    except RecipeError:
        stages = []
    try:
        for stage in stages:  # first: a kill in here must leave the recipe, which names them
            if read_manifest(stage):
                clear(stage, registry)
                _remove(stage / MANIFEST)
        for name in (
            *_exported(folder),
            *_observed(manifest, registry),
            METRICS,
            CHECKPOINT,
            "eval.json",
            "report.html",  # also that of `zero3d report`, which no manifest tells of
            *_pictures(folder),
            RECIPE,
        ):
            _remove(folder / name)
        remove_leftovers(folder)
        for place in ((folder / CHECKPOINT).parent, folder / PICTURES, *stages):
            with contextlib.suppress(OSError):  # not there, or something is in it
                place.rmdir()
    except OSError as error:
        raise cannot_write(error.filename or folder, error) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _exported(folder: Path) -> Iterator[str]:
    for report in folder.glob(f"*{REPORT}"):
        label = report.name.removesuffix(REPORT)
        try:
            files = yaml.safe_load(report.read_text(encoding="utf-8"))["files"]
        except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, RecursionError):
            files = [f"{label}.{kind}" for kind in FORMATS]  # a report from before it had `files`
        yield from (name for name in files if is_file_name(name)) if isinstance(files, list) else ()
        yield report.name


def _pictures(folder: Path) -> list[str]:
    """The copies of the recipe's pictures."""
    try:
        images = read_yaml(folder / RECIPE).get("images")
    except RecipeError:
        images = None
    labels = [str(label) for label in images] if isinstance(images, dict) else []
    return [PICTURE, *(picture_name(label, labels) for label in labels if is_file_name(label))]


def _observed(manifest: dict[str, Any], registry: Registry) -> Iterator[str]:
    components = manifest.get("components")
    named = set(map(str, components.values())) if isinstance(components, dict) else set()
    for entry in registry.all(Observer.kind):
        component = entry.component
        if issubclass(component, Observer) and f"{component.__module__}.{component.__qualname__}" in named:
            yield from (name for name in component.writes if is_file_name(name.rstrip("/")))
