"""What the pages of runs are made of."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence

from zero3d import html_pages
from zero3d.html_pages import text
from zero3d_report.web import asset

START = "\nZero3DViewer.start();\n"


def page(title: str, body: Iterable[str], models: Sequence[str] = (), start: str = START) -> str:
    """A whole page. `models`: blocks of `model_block`; without any there is no script. `start`: what it does at first."""
    return html_pages.page(title, asset("style.css"), [*body, *models], asset("viewer.js") + start if models else "")


def model_block(name: str, data: bytes) -> str:
    """A model's bytes, for the viewer that names this block."""
    return f'<script type="text/plain" id="{text(name)}">{base64.b64encode(data).decode()}</script>'


def figure(inner: str, caption: str, kind: str = "") -> str:
    """`inner` is HTML, `caption` is not."""
    chosen = f' class="{kind}"' if kind else ""
    return f"<figure{chosen}>{inner}<figcaption>{text(caption)}</figcaption></figure>"


def image(uri: str, alt: str) -> str:
    return f'<img src="{uri}" alt="{text(alt)}">'


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = (), kind: str = "") -> str:
    """Each row's first cell is its name. A `Marked` cell keeps its class. `kind`: "facts" for short pairs in columns."""
    lines = ["<tr>" + "".join(f'<th scope="col">{text(cell)}</th>' for cell in head) + "</tr>"] if head else []
    for name, *cells in rows:
        lines.append(f'<tr><th scope="row">{text(name)}</th>{"".join(map(_cell, cells))}</tr>')
    return f'<div class="wide"><table class="{kind}">{"".join(lines)}</table></div>'


class Marked(str):
    """A cell's text with a class, "good" or "bad"."""

    kind: str

    def __new__(cls, value: object, kind: str) -> Marked:
        made = super().__new__(cls, value)
        made.kind = kind
        return made


def _cell(value: object) -> str:
    kind = f' class="{value.kind}"' if isinstance(value, Marked) else ""
    return f"<td{kind}>{text(value)}</td>"


def row(*parts: str) -> str:
    return f'<div class="row">{"".join(parts)}</div>'


def column(*parts: str) -> str:
    return f'<div class="column">{"".join(parts)}</div>'


def details(summary: str, inner: str, opened: bool = False) -> str:
    """What is folded away; `inner` is HTML."""
    return f"<details{' open' if opened else ''}><summary>{text(summary)}</summary>{inner}</details>"


def listed(lines: Iterable[str]) -> str:
    return '<ul class="notes">' + "".join(f"<li>{text(line)}</li>" for line in lines) + "</ul>"
