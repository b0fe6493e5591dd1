"""grid.png and index.html: what went in, what is true, what was made; best, median and worst of every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from zero3d import html_pages
from zero3d.errors import UserError
from zero3d.files import replacing, write_text
from zero3d.html_pages import as_jpeg, text
from zero3d_benchmark.options import FLOOR, Benchmark
from zero3d_benchmark.report.formats import ARROWS, DIGITS
from zero3d_benchmark.report.table import Table
from zero3d_benchmark.run import folder
from zero3d_benchmark.run.job import GRID_SIDE, shown
from zero3d_benchmark.run.truth import Truth

HEAD, GAP = 18, 4
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid #ddd}
th:first-child,td:first-child{text-align:left}.published{color:#888}.best{font-weight:700}
img{max-width:100%;height:auto}details{margin:1rem 0}small{color:#666}"""


def chosen(rows: Sequence[Mapping[str, Any]], column: str, better: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The best, the median and the worst row by one figure; fewer where there are fewer."""
    scored = [row for row in rows if row["error"] is None and column in row["figures"]]
    scored.sort(key=lambda row: row["figures"][column], reverse=better == "more")
    places = {"best": 0, "median": (len(scored) - 1) // 2, "worst": len(scored) - 1}
    found: dict[int, str] = {}
    for word, place in places.items():
        if scored:
            found[place] = f"{found[place]}, {word}" if place in found else word
    return [(word, scored[place]) for place, word in sorted(found.items())]


def grid(out: Path, table: Table, benchmark: Benchmark | None) -> Image.Image | None:
    """Three columns of (input, truth, prediction) a method: best, median, worst by the first figure; None if none is."""
    if not table.columns or benchmark is None:
        return None
    column, better = next(iter(table.columns.items()))
    by = {one.name: one for one in benchmark.objects}
    rows = list(folder.rows(out))
    digests = (folder.read_manifest(out) or {}).get("objects", {})
    picked = []
    for line in table.lines:
        own = [row for row in rows if row["method"] == line.method and row["object"] in by]
        found = chosen(own, column, better)
        if line.method != FLOOR and found:
            picked.append((line.method, found))
    if not picked:
        return None
    side, cell = GRID_SIDE, GRID_SIDE + GAP
    sheet = Image.new("RGB", (9 * cell, len(picked) * (side + HEAD)), "white")
    pen = ImageDraw.Draw(sheet)
    cache = Path(benchmark.options.cache or out / folder.CACHE)
    for y, (method, found) in enumerate(picked):
        for x, (word, row) in enumerate(found):
            pictures: list[Any] = []
            try:
                one = by[row["object"]]
                pictures += map(Image.fromarray, shown(Truth(one, benchmark.protocol, cache, digests.get(one.name))))
            except UserError:
                pictures += [None, None]
            path = folder.row(out, method, row["object"]).with_suffix(".png")
            pictures.append(Image.open(path) if path.is_file() else None)
            caption = f"{method}, {word}: {row['object']}, {column} {row['figures'][column]:.{DIGITS}f}"
            pen.text((3 * x * cell + 2, y * (side + HEAD) + 3), caption[:90], fill=(60, 60, 60))
            for place, picture in enumerate(pictures):
                if picture is not None:
                    small = picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
                    sheet.paste(small, ((3 * x + place) * cell, y * (side + HEAD) + HEAD))
    return sheet


def write(out: Path, table: Table, benchmark: Benchmark | None) -> None:
    """grid.png, where something was made, and index.html, which needs no other file."""
    sheet = grid(out, table, benchmark)
    if sheet is not None:
        with replacing(out / "grid.png") as beside:
            sheet.save(beside, "PNG")
    write_text(out / "index.html", page(table, "" if sheet is None else as_jpeg(sheet, quality=88)))


def page(table: Table, picture: str) -> str:
    """The page; `picture`: its address, or ""."""
    head = "".join(f"<th>{text(name)} {ARROWS[better]}</th>" for name, better in table.columns.items())
    body = []
    for line in table.lines:
        cells = []
        for name in table.columns:
            figure = line.figures.get(name)
            mean = "" if figure is None else f"{figure.mean:.{DIGITS}f}"
            spread = "" if figure is None or figure.sd is None else f" <small>± {figure.sd:.{DIGITS}f}</small>"
            cells.append(f"<td{' class=best' if table.is_best(line, name) else ''}>{mean}{spread}</td>")
        seconds = "" if line.seconds is None else f"{line.seconds:.1f}"
        counts = f"<td>{line.objects - line.failed}</td><td>{line.failed}</td><td>{seconds}</td>"
        body.append(f"<tr><td>{text(table.named(line))}</td>{''.join(cells)}{counts}</tr>")
    for line in table.published:
        cells = [
            f"<td>{line.figures[n].mean:.{DIGITS}f}</td>" if n in line.figures else "<td></td>" for n in table.columns
        ]
        star = "*" if line.star else ""
        name = f"<td title='{text(line.source)}'>{text(line.method)}{star}</td>"
        body.append(f"<tr class=published>{name}{''.join(cells)}<td></td><td></td><td></td></tr>")
    notes = "".join(f"<li>{text(note)}</li>" for note in [*table.protocol_notes, *table.notes])
    failed = "".join(f"<li>{text(m)} on {text(o)}: {text(e)}</li>" for m, o, e in table.failures)
    failures = f"<details><summary>{len(table.failures)} failed</summary><ul>{failed}</ul></details>" if failed else ""
    image = f"<img alt='best, median and worst' src='{picture}'>" if picture else ""
    heading = f"<tr><th>method</th>{head}<th>n</th><th>failed</th><th>seconds</th></tr>"
    whole = [f"<table>{heading}{''.join(body)}</table>", f"<ul>{notes}</ul>", failures, image]
    return html_pages.page(table.title, STYLE, [f"<h1>{text(table.title)}</h1>", *whole])
