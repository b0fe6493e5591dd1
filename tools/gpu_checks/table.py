"""From truth.json to the table of benchmarks/README.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

MARKERS = re.compile(r"(<!-- gpu: begin -->\n).*?(<!-- gpu: end -->)", re.S)
ANSWERS = {True: "yes", False: "**no**", None: ""}


def number(value: Any) -> str:
    """A figure in three digits; words as they are."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    if not 1e-3 <= abs(value) < 1e6:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def cell(row: dict[str, Any]) -> str:
    """A row's figures, of errors the largest alone, and its note."""
    figures = row["figures"]
    if row.get("errors") and figures:
        worst = max(figures, key=lambda name: figures[name])
        text = f"{len(figures)} tensors, the largest error {number(figures[worst])} ({worst})"
    else:
        text = ", ".join(f"{name} {number(value)}" for name, value in figures.items() if value is not None)
    return "; ".join(part for part in (text, row["note"]) if part)


def table(truth: dict[str, Any]) -> str:
    """Markdown: a line on the machine, a row for each check."""
    about = truth["about"]
    failed = sum(row["ok"] is False for row in truth["rows"])
    made = f"{about.get('device', '?')}, torch {about.get('torch', '?')}, triton {about.get('triton', '?')}"
    lines = [
        f"{made}; {len(truth['rows'])} checks, {failed} that do not hold. Errors are shares of the largest value; times "
        "are of a machine that also compiled where *beside* says so.",
        "",
        "| group | check | holds | figures | beside | s |",
        "|---|---|---|---|---|---|",
    ]
    for row in truth["rows"]:
        cells = [row["group"], row["check"], ANSWERS[row["ok"]], cell(row), ", ".join(row.get("beside", []))]
        lines.append(f"| {' | '.join(text.replace('|', '/') for text in cells)} | {row['seconds']:.0f} |")
    return "\n".join(lines)


def write(readme: Path, truth: dict[str, Any]) -> None:
    """Put the table between the file's markers.

    Raises:
        ValueError: it has none.
    """
    old = readme.read_text(encoding="utf-8")
    if not MARKERS.search(old):
        raise ValueError(f"{readme}: no markers <!-- gpu: begin --> and <!-- gpu: end -->; write them where it belongs")
    text = MARKERS.sub(lambda found: f"{found[1]}{table(truth)}\n{found[2]}", old)
    readme.write_text(text, encoding="utf-8")
