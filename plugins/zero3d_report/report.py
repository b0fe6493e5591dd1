"""The page of a run: what went in, what came out, how it got there, and all that is needed to do it again."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from zero3d import folder
from zero3d.files import write_text
from zero3d.html_pages import text
from zero3d.values import PUBLISHED_FOV
from zero3d_report.page.html import Marked, column, details, listed, model_block, page, row, table
from zero3d_report.page.pictures import film_figure, input_figures, preview_figures
from zero3d_report.page.plots import chart
from zero3d_report.reading.facts import Export, Run, Series, Stage, read_run
from zero3d_report.reading.models import LARGEST, Model, model_of

NAME = "report.html"
VALUES = ("value", "distance", "loss")
"""The last words of figures that measure how far a term is from its goal."""
HASHED = 200_000_000
"""Bytes of an exported file that is hashed."""


def write_report(run_folder: str | Path, out: Path | None = None) -> str:
    """Write the page of a run (of a stage's whole run) and return a line for the user.

    Raises:
        UserError: no run's folder.
        WriteError: the page cannot be written.
    """
    run = read_run(run_folder)
    path = out or run.folder / NAME
    content = report_page(run, path)
    write_text(path, content)
    return f"wrote {path} ({len(content.encode()) / 1e6:.1f} MB)"


def report_page(run: Run, path: Path) -> str:
    """The HTML; `path`: where it will lie, for links to files that are too large for it."""
    shown, blocks = list[str](), list[str]()
    models = _models(run)
    for number, (stage, export, model) in enumerate(models):
        name = f"model-{number}"
        where = f"{stage.name}: " if stage.name else ""
        shown.append(viewer(name, model, f"{where}{export.label}", run.elevation_deg, name, path))
        blocks += [model_block(name, model.data)] if model.data else []
    inputs = [part for label, picture in run.pictures.items() for part in input_figures(label, picture)]
    films = [film_figure(film) for stage in run.stages for film in stage.films]
    body = [
        f"<h1>{text(run.name)}</h1>",
        f'<p class="lead">{text(run.state)}; {text(_clock(run.seconds))} of optimisation</p>',
        f"<p>{text('prompt: ' + run.prompt)}</p>" if run.prompt else "",
        row(column(*inputs, *films), *shown),
        "" if shown else listed(["no model was exported: previews and figures are all there is"]),
        *_health(run, models),
        *_notes(run),
        *_evaluation(run),
        *(part for stage in run.stages for part in _course(stage)),
        *_made_by(run, models),
    ]
    return page(f"zero3d: {run.name}", body, blocks)


def _models(run: Run) -> list[tuple[Stage, Export, Model]]:
    """What every stage exported, the last stage first as long as there is room in the page."""
    room, found = LARGEST, list[tuple[Stage, Export, Model]]()
    for stage in reversed(run.stages):
        for export in stage.exports:
            model = model_of(export, room)
            if model is not None:
                room -= len(model.data)
                found.append((stage, export, model))
    return found


def viewer(block: str, model: Model, title: str, elevation_deg: float, group: str, page_path: Path) -> str:
    """The model to look at; of one that is not in the page, a link to its file. `group`: those that move together."""
    link = f'<a href="{text(relative(model.path, page_path))}">{text(model.path.name)}</a>'
    note = f" ({text(model.note)})" if model.note else ""
    caption = f"<figcaption>{text(title)}: {link}{note}</figcaption>"
    if not model.data:
        return f"<figure>{caption}</figure>"
    place = (
        f'<div class="viewer" data-model="{text(block)}" data-kind="{model.kind}" data-group="{text(group)}" '
        f'data-elevation="{math.radians(elevation_deg):.6f}" data-distance="2" data-fov="{PUBLISHED_FOV:.6f}"></div>'
    )
    own = f'<div data-buttons="{text(group)}"></div>' if block == group else ""
    return f"<figure>{place}{own}{caption}</figure>"


def relative(path: Path, page_path: Path) -> str:
    """From the page to a file, as a link."""
    try:
        return quote(Path(os.path.relpath(path.resolve(), page_path.resolve().parent)).as_posix())
    except ValueError:  # another drive
        return path.resolve().as_uri()


def _health(run: Run, models: Iterable[tuple[Stage, Export, Model]]) -> Iterator[str]:
    """The figures of each export's own report."""
    sizes = {id(export): model.path.stat().st_size for _, export, model in models}
    for stage in run.stages:
        for export in stage.exports:
            where = f"{stage.name}: " if stage.name else ""
            rows = [(key, judged(key, value)) for key, value in export.figures.items()]
            if id(export) in sizes:
                rows.append(("size", f"{sizes[id(export)] / 1e6:.2f} MB"))
            yield f"<h2>The model {text(where + export.label)}</h2>" + table(rows, kind="facts")


def judged(key: str, value: Any) -> str:
    """A figure, with a colour where it is good or bad by itself."""
    if isinstance(value, bool):
        word = "yes" if value else "no"
        return Marked(word, "good" if value else "bad") if key == "watertight" else word
    if isinstance(value, dict | list):
        return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True).strip()
    return f"{value:,}" if isinstance(value, int) else str(value)


def _notes(run: Run) -> Iterator[str]:
    """The notes and warnings of the run, and what an export's figures say of it."""
    manifests = [run.manifest, *(stage.manifest for stage in run.stages)]
    lines = list(dict.fromkeys(note for manifest in manifests for note in _said(manifest)))
    for stage in run.stages:
        for export in stage.exports:
            who = f"{stage.name}/{export.label}" if stage.name else export.label
            if export.figures.get("watertight") is False:
                lines.append(f"warning: {who} is not watertight; a 3D print or a volume needs it closed")
            pieces = export.figures.get("components")
            if isinstance(pieces, int) and pieces > 1:
                lines.append(f"warning: {who} is in {pieces} pieces")
    if lines:
        yield "<h2>Notes and warnings</h2>" + listed(lines)


def _said(manifest: Mapping[str, Any]) -> list[str]:
    notes = manifest.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _evaluation(run: Run) -> Iterator[str]:
    figures = measured(run)
    if figures:
        yield "<h2>Measured against the truth</h2>" + table((k, f"{v:.4g}") for k, v in figures.items())


def measured(run: Run) -> dict[str, float]:
    """The figures of eval.json, without floors."""
    found = {str(key): value for key, value in run.evaluation.items() if not str(key).endswith("_floor")}
    return {k: float(v) for k, v in found.items() if isinstance(v, int | float) and not isinstance(v, bool)}


def _course(stage: Stage) -> Iterator[str]:
    """How a stage went: previews, curves, times."""
    title = f"Stage {stage.name}: on the way" if stage.name else "On the way"
    previews = preview_figures(stage.previews)
    charts = [part for part in (chart(name, lines) for name, lines in grouped(stage.series).items()) if part]
    if not (previews or charts or stage.name):
        return
    yield f"<h2>{text(title)}</h2>"
    if stage.name:
        yield f'<p class="lead">{stage.done} of {stage.steps} steps, {text(_clock(stage.seconds))}</p>'
    if previews:
        yield f'<div class="row previews">{"".join(previews)}</div>'
    if charts[:2]:
        yield row(*charts[:2])
    if charts[2:]:
        yield details("more figures", row(*charts[2:]))


def grouped(series: Series) -> dict[str, Series]:
    """Charts by title: losses and gradient norms first, then weights and all else by their last word."""
    charts: dict[str, Series] = {"losses": {}, "gradient norms": {}}
    for name, points in series.items():
        stem, _, last = name.rpartition(".")
        if last in VALUES:
            charts["losses"][stem or name] = points
        elif last == "gradient":
            charts["gradient norms"][stem or name] = points
        else:
            charts.setdefault({"weight": "weights"}.get(last, last), {})[stem or name] = points
    return {title: lines for title, lines in charts.items() if lines}


def _made_by(run: Run, models: Iterable[tuple[Stage, Export, Model]]) -> Iterator[str]:
    """Recipe, times, versions, seeds and hashes."""
    yield "<h2>How it was made</h2>"
    yield table([*_facts(run), *timings(run), *_evaluated(run)])
    given = run.manifest.get("overrides")
    overrides = [str(line) for line in given] if isinstance(given, list) else []
    source = run.manifest.get("recipe")
    if isinstance(source, str):
        yield f"<p>From {text(source)}{', with' if overrides else ''} {text(' '.join(overrides))}</p>"
    resolved = yaml.safe_dump(dict(run.recipe), sort_keys=False, allow_unicode=True)
    yield details("the recipe as it was run", f"<pre>{text(resolved)}</pre>", opened=True)
    yield details("versions", table(_pairs(run.manifest.get("packages"))))
    yield details("components", table(_pairs(run.manifest.get("components"))))
    hashes = [*_weights(run.manifest), *_file_hashes(models)]
    yield details("sha256 of weights and of the exported files", table(hashes))


def _facts(run: Run) -> list[tuple[str, str]]:
    manifest = run.manifest
    rows = [("input", manifest.get("image")), ("seed", run.recipe.get("seed", 0)), ("python", manifest.get("python"))]
    rows += [("platform", manifest.get("platform")), ("threads", manifest.get("threads"))]
    precision = manifest.get("precision")
    rows += [(f"precision of {key}", value) for key, value in _pairs(precision)]
    return [(key, str(value)) for key, value in rows if value not in (None, "", {})]


def timings(run: Run) -> list[tuple[str, str]]:
    """Of the optimisation, and of a median step."""
    rows = []
    for stage in run.stages:
        clock = [record["seconds"] for record in stage.log if isinstance(record.get("seconds"), int | float)]
        taken = sorted(b - a for a, b in itertools.pairwise(clock) if b >= a)
        median = f", a median step {taken[len(taken) // 2]:.3g} s" if taken else ""
        label = f"optimisation, {stage.name}" if stage.name else "optimisation"
        rows.append((label, f"{_clock(stage.seconds)} for {stage.done} steps{median}"))
    return rows


def _evaluated(run: Run) -> list[tuple[str, str]]:
    """In how many steps each guidance was evaluated: it logs a weight when it is."""
    rows = []
    for stage in run.stages:
        for name, points in stage.series.items():
            if name.startswith("guidance.") and name.endswith(".weight"):
                who = name.removesuffix(".weight").removeprefix("guidance.")
                where = f"{stage.name}: " if stage.name else ""
                rows.append((f"{where}{who} evaluated", f"in {len(points)} of {stage.done} steps"))
    return rows


def _pairs(found: Any) -> list[tuple[str, str]]:
    return [(str(key), str(value)) for key, value in found.items()] if isinstance(found, Mapping) else []


def _weights(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = manifest.get("weights")
    for key, hashes in found.items() if isinstance(found, Mapping) else ():
        for name, digest in _pairs(hashes):
            yield f"{key}: {name}", digest


def _file_hashes(models: Iterable[tuple[Stage, Export, Model]]) -> Iterator[tuple[str, str]]:
    for _, _, model in models:
        if model.path.stat().st_size <= HASHED:
            yield model.path.name, folder.file_sha256(model.path)


def _clock(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d} h" if minutes >= 60 else f"{minutes}:{rest:02d} min"
