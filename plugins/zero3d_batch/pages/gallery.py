"""index.html of a batch: a card for each picture; of thousands, further pages beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zero3d.files import write_text
from zero3d.html_pages import text
from zero3d_batch.pages.html import links, page, pictures, result, summary

LONGEST_PAGE = 1000
"""Cards of a page, some 11 kB each."""


def write_gallery(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replace index.html, and index-2.html and so on where there are more than LONGEST_PAGE.

    Raises:
        WriteError: the disk is full, or not ours.
    """
    parts = [rows[at : at + LONGEST_PAGE] for at in range(0, len(rows), LONGEST_PAGE)] or [rows]
    names = ["index.html", *(f"index-{number}.html" for number in range(2, len(parts) + 1))]
    there = " ".join(f'<a href="{name}">{number}</a>' for number, name in enumerate(names, 1))
    pages = f"<p>Pages: {there}</p>" if len(parts) > 1 else ""
    for name, part in zip(names, parts, strict=True):
        write_text(out / name, page(out.name, [summary(rows), pages, *_cards(out, part), pages]))


def _cards(out: Path, rows: Sequence[dict[str, Any]]) -> list[str]:
    cards = []
    for row in rows:
        keys = ", ".join(f"{key}={value}" for key, value in row.get("keys", {}).items())
        own = f'<div class="small">{text(keys)}</div>' if keys else ""
        cards.append(f'<div class="card">{pictures(row)}<b>{links(out, row)}</b>{own}{result(row)}</div>')
    return ['<div class="cards">', *cards, "</div>"]
