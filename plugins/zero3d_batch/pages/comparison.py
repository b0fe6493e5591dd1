"""index.html of a sweep: the grid with its values on the axes, curves of the losses, the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zero3d.files import write_text
from zero3d.html_pages import text
from zero3d_batch.pages.html import COLOURS, chart, links, page, pictures, result, summary, table


def write_comparison(out: Path, rows: Sequence[dict[str, Any]], axes: Sequence[str]) -> None:
    """Replace it. `axes`: the keys that vary; the last is across, the one before it down, others in headings.

    Raises:
        WriteError: the disk is full, or not ours.
    """
    body = [summary(rows), *_grids(out, rows, axes), *_curves(rows), "<h2>Figures</h2>", table(rows)]
    write_text(out / "index.html", page(out.name, body))


def _grids(out: Path, rows: Sequence[dict[str, Any]], axes: Sequence[str]) -> Iterator[str]:
    down, across = ([*[""] * 2, *axes])[-2:]
    above = axes[:-2]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row["keys"].get(key, "") for key in above), []).append(row)
    for values, own in groups.items():
        if above:
            heading = ", ".join(f"{key} {value}" for key, value in zip(above, values, strict=True))
            yield f"<h2>{text(heading)}</h2>"
        yield _grid(out, own, down, across, "image" in axes)


def _grid(out: Path, rows: Sequence[dict[str, Any]], down: str, across: str, own: bool) -> str:
    """`own`: each beside its picture."""
    at = {(row["keys"].get(down, ""), row["keys"].get(across, "")): row for row in rows}
    lines, columns = (list(dict.fromkeys(key[n] for key in at)) for n in (0, 1))
    corner = text(" \\ ".join(filter(None, (down, across))))
    head = f"<tr><th>{corner}</th>" + "".join(f"<th>{text(c)}</th>" for c in columns) + "</tr>"
    body = "\n".join(
        f"<tr><th>{text(line)}</th>" + "".join(_cell(out, at.get((line, c)), own) for c in columns) + "</tr>"
        for line in lines
    )
    return f'<div class="scroll"><table>{head}\n{body}</table></div>'


def _cell(out: Path, row: dict[str, Any] | None, own: bool) -> str:
    if row is None:
        return "<td></td>"
    return f"<td>{pictures(row, own)}{links(out, row)}{result(row)}</td>"


def _curves(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    names = dict.fromkeys(name for row in rows for name in row.get("curves", {}))
    if not names:
        return
    yield '<h2>Losses</h2><div class="charts">'
    shown = [row for row in rows if row.get("curves")]
    for name in names:
        yield chart(name, {row["name"]: row["curves"].get(name, []) for row in shown})
    yield "</div>"
    legend = (f"{_square(COLOURS[n % len(COLOURS)])} {text(row['name'])}" for n, row in enumerate(shown))
    yield f'<p class="small">{" &nbsp; ".join(legend)}</p>'


def _square(colour: str) -> str:
    return f'<svg width="12" height="12"><rect width="12" height="12" fill="{colour}"/></svg>'
