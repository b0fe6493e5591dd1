"""`export`: the models of a run, from its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from zero3d import checkpoint, folder
from zero3d.errors import ExportError, RecipeError
from zero3d.files import LEFTOVER, cannot_write, remove_leftovers, write_text
from zero3d.files.labels import is_file_name
from zero3d.files.lock import only_writer
from zero3d.recipe import EXPORT_KEYS, check_keys
from zero3d.registry import Registry
from zero3d.run.opening.session import Session, open_session, say


def export(
    run_folder: str, registry: Registry, overrides: Sequence[str] = (), tell: Callable[[str], None] = say
) -> Session:
    """Write a run's exports again from its last checkpoint, with other options if given.

    Raises:
        UserError: no run, no checkpoint, nothing to export, no surface in the field, another process is writing there, or an
            override that exporting does not look at.
    """
    check_keys(overrides, EXPORT_KEYS, "zero3d export")
    path = folder.open_run(run_folder)
    whole = folder.whole_run(path)
    with only_writer(whole, str(whole)):
        remove_leftovers(whole)
        session = open_session(path, registry, overrides, tell)
        checkpoint.load(session.engine, path)
        write_exports(session)
    return session


def write_exports(session: Session) -> None:
    """Write what the recipe exports, each with its report, which lists the export's files; then the observers hear of it.

    Raises:
        ExportError: no surface in the field.
        RecipeError: an exporter's file name leads out of the folder.
        WriteError: the disk is full, or the folder is not ours to write.
    """
    exporters = session.parts.exporters
    if not exporters:
        session.tell(f"{session.recipe.place('export')}: nothing to export; the checkpoint is kept")
    for label, exporter in exporters.items():
        place = session.recipe.place(f"export.{label}")
        name = exporter.filename(label)
        if not is_file_name(name):
            raise RecipeError(
                f"{place}: {exporter.name!r} names its file {name!r}, which is no file of the run's folder"
            )
        path, before = session.folder / name, _files(session.folder)
        exporter.load(session.parts.device)
        try:
            report = exporter.export(session.subject(), path)
        except ExportError as error:
            raise ExportError(f"{place}: {error}") from None
        except OSError as error:
            raise cannot_write(path, error) from error
        files = sorted(name for name, state in _files(session.folder).items() if before.get(name) != state)
        written = yaml.safe_dump({**report, "files": files}, sort_keys=False)
        write_text(path.with_name(f"{label}{folder.REPORT}"), written)
        session.tell(f"wrote {path} ({', '.join(f'{key} {value}' for key, value in report.items())})")
    view = session.view(session.engine.total_steps)
    for line in filter(None, (observer.on_exported(view) for observer in session.parts.observers.values())):
        session.tell(line)


def _files(place: Path) -> dict[str, tuple[int, int]]:
    """What an export changes of each file when it writes that."""
    found = ((path.name, path.lstat()) for path in place.iterdir() if not LEFTOVER.fullmatch(path.name))
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found}
