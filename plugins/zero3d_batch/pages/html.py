"""What both pages are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zero3d import html_pages
from zero3d.html_pages import text
from zero3d_batch.pages.tables import columns, flat

STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em; color: #222; background: #fff }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin-top: 1.6em }
table { border-collapse: collapse } th, td { border: 1px solid #ddd; padding: .25em .5em; text-align: left;
vertical-align: top } th { background: #f5f5f5 }
img { display: block; image-rendering: auto } .pictures { display: flex; gap: 2px; align-items: flex-start }
.cards { display: flex; flex-wrap: wrap; gap: 1em } .card { border: 1px solid #ddd; padding: .6em; max-width: 580px }
.small { color: #666; font-size: 12px; overflow-wrap: anywhere } .failed { color: #a00 } .scroll { overflow-x: auto }
.charts { display: flex; flex-wrap: wrap; gap: 1em } svg { background: #fafafa }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } th { background: #262626 }
th, td, .card { border-color: #444 } svg { background: #222 } a { color: #8bf } .failed { color: #f88 } }
"""
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
WIDTH, HEIGHT, EDGE = 360, 200, 34


def page(title: str, body: Iterable[str]) -> str:
    """The whole file."""
    return html_pages.page(title, STYLE, [f"<h1>{text(title)}</h1>", *body])


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """How many there are of each end, and what one took."""
    states = [row.get("status", "waiting") for row in rows]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    taken = [float(row["seconds"]) for row in rows if row.get("status") == "done"]
    mean = f"; {sum(taken) / len(taken):.1f} s each on average" if taken else ""
    files = "".join(f' <a href="table.{kind}">table.{kind}</a>' for kind in ("csv", "json", "md"))
    return f"<p>{len(rows)} runs: {counts}{mean}.{files}</p>"


def pictures(row: dict[str, Any], own: bool = True) -> str:
    """The picture, if `own`, and the model from around."""
    shown = [(row.get("picture"), "the picture")] if own else []
    shown.append((row.get("views"), "the model from around"))
    images = [f'<img src="{text(uri)}" alt="{alt}">' for uri, alt in shown if uri]
    return f'<div class="pictures">{"".join(images)}</div>' if images else ""


def links(out: Path, row: dict[str, Any]) -> str:
    """To the run's folder, and its report if it has one."""
    name = str(row["name"])
    report = f"{name}/report.html"
    more = f' <a href="{quote(report)}">report</a>' if (out / report).is_file() else ""
    return f'<a href="{quote(name)}/">{text(name)}</a>{more}'


def result(row: dict[str, Any]) -> str:
    """Seconds and the exports' figures, or why there are none."""
    if row.get("status") == "failed":
        return f'<div class="failed">failed: {text(str(row.get("error")))}</div>'
    if row.get("status") != "done":
        return '<div class="small">waiting</div>'
    export = [f"{label} {key} {number(v)}" for label, own in row["export"].items() for key, v in own.items()]
    return f'<div class="small">{text(", ".join([number(row["seconds"]) + " s", *export]))}</div>'


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All that table.csv has."""
    plain = [flat(row) for row in rows]
    names = columns(plain)
    head = "".join(f"<th>{text(name)}</th>" for name in names)
    lines = "\n".join(
        "<tr>" + "".join(f"<td>{text(number(row.get(name, '')))}</td>" for name in names) + "</tr>" for row in plain
    )
    return f'<div class="scroll"><table><tr>{head}</tr>\n{lines}</table></div>'


def number(value: Any) -> str:
    """As people read it."""
    return f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)


def chart(name: str, curves: dict[str, Sequence[Sequence[float]]]) -> str:
    """Curves of one loss over the steps, a colour for each run; the first colours again after ten."""
    points = [point for curve in curves.values() for point in curve]
    last = max((x for x, _ in points), default=1) or 1
    low, high = min((y for _, y in points), default=0.0), max((y for _, y in points), default=1.0)
    span = (high - low) or 1.0

    def place(x: float, y: float) -> str:
        return f"{EDGE + x / last * (WIDTH - EDGE - 6):.1f},{6 + (high - y) / span * (HEIGHT - EDGE):.1f}"

    lines = "".join(
        f'<polyline fill="none" stroke="{COLOURS[n % len(COLOURS)]}" stroke-width="1.3" '
        f'points="{" ".join(place(x, y) for x, y in curve)}"><title>{text(run)}</title></polyline>'
        for n, (run, curve) in enumerate(curves.items())
    )
    words = [(2, 14, f"{high:.3g}"), (2, HEIGHT - EDGE + 8, f"{low:.3g}"), (EDGE, HEIGHT - 8, "step 0")]
    words.append((WIDTH - 60, HEIGHT - 8, f"{last:g}"))
    texts = "".join(f'<text x="{x}" y="{y}" font-size="10" fill="currentColor">{t}</text>' for x, y, t in words)
    drawn = f'<svg width="{WIDTH}" height="{HEIGHT}">{lines}{texts}</svg>'
    return f"<figure><figcaption>{text(name)}</figcaption>{drawn}</figure>"
