"""What the exports of a run have left in its folder, by their reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from zero3d.files.labels import is_file_name
from zero3d.mesh_files import FORMATS

REPORT = ".report.yaml"
"""The end of the name of an export's report, after the label."""


def exported_labels(folder: Path) -> list[str]:
    """The labels of the exports that have left a report, sorted."""
    return sorted(path.name.removesuffix(REPORT) for path in folder.glob(f"*{REPORT}"))


def exported_files(folder: Path, label: str) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """The figures of an export's report, and its files that are there, the main one first; neither where it has no report.

    A damaged report, or one of a version that listed no files, counts as saying nothing: the files are those named after
    the label.
    """
    report = folder / f"{label}{REPORT}"
    if not report.is_file():
        return {}, ()
    try:
        figures = yaml.safe_load(report.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        figures = None
    figures = figures if isinstance(figures, dict) else {}
    names = figures.pop("files", None)
    if not isinstance(names, list):
        names = sorted(path.name for path in folder.glob(f"{label}.*") if path != report)
    paths = (folder / name for name in names if isinstance(name, str) and is_file_name(name))
    return figures, tuple(sorted(filter(Path.is_file, paths), key=lambda path: path.stem != label))


def exported_mesh(folder: Path) -> Path | None:
    """The mesh that the export `mesh` left in a run's folder (mesh.glb, mesh.obj, ...); None if there is none.

    None too where its report has `size_mm`: that one is as large as it is to be printed, and may lie on its side.
    """
    kinds = () if "size_mm" in exported_files(folder, "mesh")[0] else FORMATS
    return next((path for kind in kinds if (path := folder / f"mesh.{kind}").is_file()), None)
