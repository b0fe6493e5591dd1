"""A run as a notebook shows it."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zero3d import folder
from zero3d.errors import UserError

if TYPE_CHECKING:
    from zero3d.api.opened import Run

REPORT = "report.html"
"""What the observer `report` leaves in a run's folder."""
LARGEST = 20_000_000
"""Bytes of a report that a notebook holds; it grows by them whenever it is saved."""
HEIGHT = 480


def run_html(run: Run) -> str:
    """The input, the last preview and a frame of the turntable in a row; below, the mesh in a viewer, or else the report."""
    from zero3d.api.mesh import frame

    places = run.folders
    inputs = [run.folder / folder.PICTURE, *sorted((run.folder / "pictures").glob("*.png"))]
    previews = [path for place in places for path in sorted((place / "previews").glob("step_*.png"))[-1:]]
    films = [path for place in places for path in sorted(place.glob("*.mp4"))]
    figures = [_figure("input", path) for path in inputs if path.is_file()]
    figures += [_figure(f"after {int(previews[-1].stem[5:])} steps", previews[-1])] if previews else []
    figures += [_film_figure(films[-1])] if films else []
    named = ", ".join(html.escape(path.name) for path in run.files) or "no model yet"
    parts = [
        f"<p><b>{html.escape(str(run.folder))}</b>: {html.escape(run.state)}; {named}</p>",
        f'<div style="display:flex;gap:8px;align-items:flex-end;flex-wrap:wrap">{"".join(figures)}</div>',
    ]
    report = run.folder / REPORT
    try:
        parts.append(run.mesh._repr_html_())
    except UserError as error:  # Gaussians, or nothing yet
        small = report.is_file() and report.stat().st_size <= LARGEST
        page = frame(report.read_text(encoding="utf-8"), HEIGHT, foreign=True) if small else ""
        parts.append(page or f"<p>{html.escape(str(error))}</p>")
    if report.is_file():
        parts.append(f"<p>All of it: {html.escape(str(report))}</p>")
    return "".join(parts)


def _figure(title: str, path: Path) -> str:
    return _embedded(title, path.read_bytes())


def _film_figure(path: Path) -> str:
    """An eighth of the way round, where front and side are seen."""
    import av

    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        wanted = (stream.frames or 1) // 8
        picture: Any = next((one for index, one in enumerate(film.decode(stream)) if index == wanted), None)
        if picture is None:
            return ""
        buffer = io.BytesIO()
        picture.to_image().save(buffer, format="PNG")
    return _embedded(path.name, buffer.getvalue())


def _embedded(title: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    name = html.escape(title)
    return (
        f'<figure style="margin:0"><img alt="{name}" style="max-height:192px" src="data:image/png;base64,{data}">'
        f"<figcaption>{name}</figcaption></figure>"
    )
