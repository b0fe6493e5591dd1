"""A benchmark's table as text: JSON, CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

from zero3d.files import write_text
from zero3d_benchmark.report.table import Figure, Line, Table

DIGITS = 4
STAR = r"\*"
"""Behind a published method whose code is not public."""
ARROWS = {"less": "↓", "more": "↑"}


def write(table: Table, out: Path) -> None:
    """table.json, .csv, .md and .tex."""
    write_text(out / "table.json", json.dumps(as_json(table), indent=1) + "\n")
    write_text(out / "table.csv", as_csv(table))
    write_text(out / "table.md", as_markdown(table))
    write_text(out / "table.tex", as_latex(table))


def as_json(table: Table) -> dict[str, Any]:
    """Every number; one that is infinite is the text "inf"."""
    return {
        "protocol": {key: getattr(table.protocol, key) for key in ("id", "version", "title", "source", "nearest")},
        "columns": table.columns,
        "rows": [_plain(line) for line in table.lines],
        "published": [{**_plain(line), "source": line.source, "star": line.star} for line in table.published],
        "failures": [dict(zip(("method", "object", "error"), failure, strict=True)) for failure in table.failures],
        "notes": [*table.notes, *table.protocol_notes],
    }


def _plain(line: Line) -> dict[str, Any]:
    figures = {name: {"mean": _number(f.mean), "sd": f.sd, "n": f.n} for name, f in line.figures.items()}
    plain = {"method": line.method, "figures": figures}
    return plain if line.source else {**plain, "objects": line.objects, "failed": line.failed, "seconds": line.seconds}


def _number(value: float) -> Any:
    return value if math.isfinite(value) else str(value)


def as_csv(table: Table) -> str:
    """One row a method: mean, sd and n of each figure; published rows at the end."""
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    each = [f"{name}{part}" for name in table.columns for part in ("", "_sd", "_n")]
    writer.writerow(["protocol", "nearest", "method", "objects", "failed", "seconds", *each, "source"])
    for line in [*table.lines, *table.published]:
        cells: list[Any] = []
        for name in table.columns:
            figure = line.figures.get(name)
            cells += ["", "", ""] if figure is None else [figure.mean, "" if figure.sd is None else figure.sd, figure.n]
        counts = ["", "", ""] if line.source else [line.objects, line.failed, line.seconds]
        nearest = table.protocol.nearest and not line.source
        writer.writerow([table.protocol.id, nearest, line.method, *counts, *cells, line.source])
    return held.getvalue()


def as_markdown(table: Table) -> str:
    """The best measured mean of a column is bold; published rows are in italics."""
    heading = ["method", *(f"{name} {ARROWS[better]}" for name, better in table.columns.items()), "n", "failed"]
    rows = [heading, ["---"] * len(heading)]
    for line in table.lines:
        cells = [_cell(line.figures.get(name), table.is_best(line, name)) for name in table.columns]
        rows.append([table.named(line), *cells, str(line.objects - line.failed), str(line.failed)])
    for line in table.published:
        cells = [f"*{_plain_cell(line.figures.get(name))}*" if name in line.figures else "" for name in table.columns]
        rows.append([f"*{line.method}*" + (STAR if line.star else ""), *cells, "", ""])
    body = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    notes = [*table.protocol_notes, *table.notes]
    notes += [f"failed: {method} on {name}: {error}" for method, name, error in table.failures[:20]]
    return "\n".join([f"# {table.title}", "", body, "", *(f"- {note}" for note in notes), ""])


def as_latex(table: Table) -> str:
    """A booktabs table; the best measured mean is bold, published rows are grey with their sources below."""
    arrows = {"less": r"$\downarrow$", "more": r"$\uparrow$"}
    columns = [f"{_tex(name)} {arrows[better]}" for name, better in table.columns.items()]
    lines = [
        f"% {table.title}; \\usepackage{{booktabs,xcolor}}",
        f"\\begin{{tabular}}{{l{'r' * (len(columns) + 2)}}}",
        "\\toprule",
        " & ".join(["Method", *columns, "$n$", "failed"]) + r" \\",
        "\\midrule",
    ]
    for line in table.lines:
        cells = []
        for name in table.columns:
            figure = line.figures.get(name)
            mean = _plain_cell(figure)
            spread = "" if figure is None or figure.sd is None else f" $\\pm$ {figure.sd:.{DIGITS}f}"
            cells.append((f"\\textbf{{{mean}}}" if table.is_best(line, name) else mean) + spread)
        counts = [str(line.objects - line.failed), str(line.failed)]
        lines.append(" & ".join([_tex(table.named(line)), *cells, *counts]) + r" \\")
    if table.published:
        lines.append("\\midrule")
        for line in table.published:
            name = _tex(line.method) + ("$^{*}$" if line.star else "")
            grey = [name, *(_plain_cell(line.figures.get(column)) for column in table.columns), "", ""]
            lines.append(" & ".join(f"\\textcolor{{gray}}{{{cell}}}" if cell else "" for cell in grey) + r" \\")
    lines.append("\\bottomrule")
    span = f"\\multicolumn{{{len(columns) + 3}}}{{p{{0.95\\linewidth}}}}"
    for note in [table.title, *table.protocol_notes, *table.notes]:
        lines.append(f"{span}{{\\footnotesize {_tex(note)}}} \\\\")
    return "\n".join([*lines, "\\end{tabular}", ""])


def _cell(figure: Figure | None, best: bool) -> str:
    mean = _plain_cell(figure)
    spread = "" if figure is None or figure.sd is None else f" ± {figure.sd:.{DIGITS}f}"
    return f"**{mean}**{spread}" if best else f"{mean}{spread}"


def _plain_cell(figure: Figure | None) -> str:
    return "" if figure is None else f"{figure.mean:.{DIGITS}f}"


def _tex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, "\\" + c if c in "&%$#_{}" else c) for c in text)
