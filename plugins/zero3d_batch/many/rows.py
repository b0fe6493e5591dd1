"""What became of each run: a file of JSON each, which its tables and pages are made of, and by which a later call knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from zero3d import folder
from zero3d.files import write_text
from zero3d.html_pages import as_jpeg

ROWS = "rows"
"""The folder of the files, in that of the runs."""
THUMBNAIL = 112
"""Side of a picture on the pages, pixels."""
CURVE_POINTS = 60


def read_row(path: Path) -> dict[str, Any]:
    """A row, empty if there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_row(path: Path, row: Mapping[str, Any]) -> None:
    """Replace it.

    Raises:
        WriteError: the disk is full, or not ours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(row, ensure_ascii=False) + "\n")


def places(run: Path) -> list[Path]:
    """The folders of a run's stages, or its own, those with a metrics.jsonl."""
    return [place for place in (folder.stage_folders(run) or [run]) if (place / folder.METRICS).is_file()]


def figures(run: Path) -> dict[str, Any]:
    """Of a finished run: what its exports report, its losses at the end, and over the steps."""
    found: dict[str, Any] = {"export": {}, "losses": {}, "curves": {}}
    for place in places(run):
        for label in folder.exported_labels(place):
            values, _ = folder.exported_files(place, label)
            found["export"][label] = {str(k): v for k, v in values.items() if isinstance(v, (int, float, str))}
    steps = list(_steps(run))
    for name in dict.fromkeys(name for own in steps for name in own if name.endswith((".value", ".distance"))):
        curve = [(own["at"], own[name]) for own in steps if isinstance(own.get(name), (int, float))]
        if curve:
            found["losses"][name] = curve[-1][1]
            every = -(-len(curve) // CURVE_POINTS)
            found["curves"][name] = [list(point) for point in [*curve[::every], curve[-1]]]
    return found


def step_seconds(run: Path) -> float:
    """Seconds of a run's steps so far, in all its sessions."""
    return sum(folder.logged_seconds(folder.read_metrics(place)) for place in places(run))


def _steps(run: Path) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl, stage after stage; "at" counts the steps through."""
    lines = (line for place in places(run) for line in folder.read_metrics(place))
    return ({**line, "at": at} for at, line in enumerate(lines))


def thumbnail(path: Path) -> str:
    """A picture on white as a data URI; empty if it cannot be read."""
    try:
        with Image.open(path) as opened:
            opened.draft("RGB", (2 * THUMBNAIL, 2 * THUMBNAIL))  # a JPEG of a camera is not read whole
            opened.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))
            rgba = opened.convert("RGBA")
    except Exception:  # whatever a broken file brings
        return ""
    white = Image.new("RGBA", rgba.size, "white")
    white.alpha_composite(rgba)
    white.thumbnail((THUMBNAIL, THUMBNAIL))
    return as_jpeg(white)
