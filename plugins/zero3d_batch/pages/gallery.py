"""index.html of a batch: a card for each picture."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zero3d.files import write_text
from zero3d_batch.pages.html import links, page, pictures, summary, told


def write_gallery(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Replace it.

    Raises:
        WriteError: the disk is full, or not ours.
    """
    write_text(out / "index.html", page(out.name, [summary(rows), *_cards(out, rows)]))


def _cards(out: Path, rows: Sequence[dict[str, Any]]) -> list[str]:
    cards = []
    for row in rows:
        keys = ", ".join(f"{key}={value}" for key, value in row.get("keys", {}).items())
        own = f'<div class="small">{html.escape(keys)}</div>' if keys else ""
        cards.append(f'<div class="card">{pictures(row)}<b>{links(out, row)}</b>{own}{told(row)}</div>')
    return ['<div class="cards">', *cards, "</div>"]
