"""Several runs on one page: their models turned together, curves over each other, and what their recipes differ in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zero3d.errors import UserError
from zero3d.files import write_text
from zero3d.html_pages import as_jpeg, text
from zero3d_report.page.html import details, figure, image, model_block, page, row, table
from zero3d_report.page.pictures import Unreadable, film_figure, input_figures, opened
from zero3d_report.page.plots import COLOURS, chart
from zero3d_report.reading.facts import Run, Series, read_run
from zero3d_report.reading.models import LARGEST, model_of
from zero3d_report.report import grouped, judged, measured, timings, viewer

MOST = 8
"""Runs on a page: each has a viewer, and a browser holds some sixteen."""
OWN = ("out", "overwrite")
"""Keys of a recipe that differ between any two runs."""
HEALTH = ("vertices", "faces", "gaussians", "watertight", "components", "volume", "silhouette_iou", "render_rmse")
GROUP = "compared"


def write_comparison(folders: Sequence[str], out: Path, force: bool = False) -> str:
    """Write the page and return a line for the user.

    Raises:
        UserError: fewer than two runs or too many, no run, one twice, or runs of different subjects without `force`.
        WriteError: the page cannot be written.
    """
    runs = [read_run(place) for place in folders]
    if not 2 <= len(runs) <= MOST:
        raise UserError(f"compare: {len(runs)} run{'s'[: len(runs) != 1]}; 2 to {MOST}")
    places = [run.folder.resolve() for run in runs]
    if twice := [str(run.folder) for n, run in enumerate(runs) if places[n] in places[:n]]:
        raise UserError(f"compare: {twice[0]}: given twice; name another run")
    other = other_subject(runs)
    if other and not force:
        raise UserError(f"compare: {other}; --force compares them all the same")
    content = comparison(runs, out, other)
    write_text(out, content)
    return f"wrote {out} ({len(content.encode()) / 1e6:.1f} MB)" + (f"; note: {other}" if other else "")


def other_subject(runs: Sequence[Run]) -> str:
    """Which run is of something else than the first, in words; empty if none is."""
    first = _subject(runs[0])
    for run in runs[1:]:
        own = _subject(run)
        if own != first:
            what = "prompts" if own[0] == first[0] else "pictures"
            return f"{runs[0].folder} and {run.folder} are of different subjects (their {what} differ)"
    return ""


def _subject(run: Run) -> tuple[list[str], str]:
    """The digests of the pictures, whatever their labels, and the prompt."""
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in run.pictures.values()), run.prompt


def names(runs: Sequence[Run]) -> list[str]:
    """Their folders' names, or as much of the path as tells them apart."""
    own = [run.name for run in runs]
    return own if len(set(own)) == len(own) else [f"{n}: {run.folder}" for n, run in enumerate(runs, 1)]


def comparison(runs: Sequence[Run], path: Path, note: str = "") -> str:
    """The HTML; `path`: where it will lie."""
    called = names(runs)
    colours = dict(zip(called, COLOURS, strict=False))
    shown, blocks = _viewers(runs, called, path)
    same = all(_subject(run)[0] == _subject(runs[0])[0] for run in runs)
    inputs = [f for run in (runs[:1] if same else runs) for n, p in run.pictures.items() for f in input_figures(n, p)]
    body = [
        f"<h1>{text(' | '.join(called))}</h1>",
        f'<p class="bad">{text(note)}</p>' if note else "",
        row(*inputs),
        f'<div data-buttons="{GROUP}"></div>' if blocks else "",
        f'<div class="row compared">{"".join(shown)}</div>',
        _last_pictures(runs, called),
        _table("Runs", called, _states(runs)),
        _table("Measured against the truth", called, _measures(runs)),
        _table("Recipes: what differs", called, different([run.recipe for run in runs])),
        *_curves(runs, called, colours),
    ]
    return page(f"zero3d: {' | '.join(called)}", body, blocks)


def _viewers(runs: Sequence[Run], called: Sequence[str], path: Path) -> tuple[list[str], list[str]]:
    """Of each run its last model; all move together."""
    shown, blocks = list[str](), list[str]()
    for number, (run, name) in enumerate(zip(runs, called, strict=True)):
        exports = [export for stage in reversed(run.stages) for export in stage.exports]
        model = next((m for export in exports if (m := model_of(export, LARGEST // len(runs)))), None)
        if model is None:
            shown.append(figure("", f"{name}: no exported model"))
            continue
        shown.append(viewer(f"model-{number}", model, name, runs[0].elevation_deg, GROUP, path))
        blocks += [model_block(f"model-{number}", model.data)] if model.data else []
    return shown, blocks


def _last_pictures(runs: Sequence[Run], called: Sequence[str]) -> str:
    """Films, and the last previews."""
    films, previews = list[str](), list[str]()
    for run, name in zip(runs, called, strict=True):
        found = [film for stage in run.stages for film in stage.films][-1:]
        films += [f"<div><h3>{text(name)}</h3>{film_figure(film)}</div>" for film in found]
        for path in [path for stage in run.stages for path in stage.previews][-1:]:
            try:
                previews.append(
                    figure(image(as_jpeg(opened(path, 640)), f"last preview of {name}"), f"{name}: {path.stem}")
                )
            except Unreadable:
                continue
    return row(*films) + (
        f'<h2>Last previews</h2><div class="row previews">{"".join(previews)}</div>' if previews else ""
    )


Rows = Mapping[str, Sequence[object]]
"""Name -> a cell for each run."""


def _table(title: str, called: Sequence[str], rows: Rows) -> str:
    if not rows:
        return ""
    return f"<h2>{text(title)}</h2>" + table(((key, *cells) for key, cells in rows.items()), ("", *called))


def _states(runs: Sequence[Run]) -> Rows:
    rows: dict[str, Sequence[object]] = {"state": [run.state.partition(";")[0] for run in runs]}
    times = [dict(timings(run)) for run in runs]
    rows |= _joined(times)
    health = [{k: judged(k, v) for k, v in _figures(run).items() if k in HEALTH} for run in runs]
    rows |= _joined(health)
    rows["notes"] = ["; ".join(map(str, n)) if isinstance(n := run.manifest.get("notes"), list) else "" for run in runs]
    return {key: cells for key, cells in rows.items() if any(cells)}


def _figures(run: Run) -> Mapping[str, Any]:
    """Of the last stage's first export."""
    return next((export.figures for stage in reversed(run.stages) for export in stage.exports), {})


def _measures(runs: Sequence[Run]) -> Rows:
    return _joined([{key: f"{value:.4g}" for key, value in measured(run).items()} for run in runs])


def _joined(tables: Sequence[Mapping[str, str]]) -> dict[str, Sequence[object]]:
    """Every key of any of them, with a cell for each."""
    keys = dict.fromkeys(key for own in tables for key in own)
    return {key: [own.get(key, "") for own in tables] for key in keys}


def different(recipes: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[object]]:
    """Key path -> each recipe's value, of those that are not the same in all; "" where a recipe lacks it."""
    flat = [dict(_flat(recipe)) for recipe in recipes]
    rows = _joined([{key: str(value) for key, value in own.items()} for own in flat])
    return {key: cells for key, cells in sorted(rows.items()) if len(set(cells)) > 1}


def _flat(recipe: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in recipe.items():
        if before or key not in OWN:
            place = f"{before}{key}"
            if isinstance(value, Mapping) and value:
                yield from _flat(value, f"{place}.")
            else:
                yield place, value


def _curves(runs: Sequence[Run], called: Sequence[str], colours: Mapping[str, str]) -> Iterator[str]:
    """A chart for each figure that any run logged, a line for each run that did."""
    found: dict[str, dict[str, Series]] = {}
    for run, name in zip(runs, called, strict=True):
        for stage in run.stages:
            where = f"{stage.name}: " if stage.name else ""
            for title, lines in grouped(stage.series).items():
                for label, points in lines.items():
                    found.setdefault(title, {}).setdefault(f"{where}{label}", {})[name] = points
    for title in ("losses", "gradient norms"):
        charts = [chart(label, lines, colours) for label, lines in found.pop(title, {}).items()]
        if any(charts):
            yield f"<h2>{text(title.capitalize())}</h2>" + row(*charts)
    rest = [chart(f"{label}.{title}", lines, colours) for title, own in found.items() for label, lines in own.items()]
    if any(rest):
        yield details("more figures", row(*rest))
