"""`export`: the models of a run, from its state."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import yaml

from zero3d import checkpoint, folder
from zero3d.errors import ExportError
from zero3d.registry import Registry
from zero3d.run.session import Session, open_session, say


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
    write_exports(session)
    return session


def write_exports(session: Session) -> None:
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
