"""The table of a benchmark: means, deviations and counts of each method, beside published rows of the same protocol."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from zero3d_benchmark.options import FLOOR
from zero3d_benchmark.protocol import Measures, Protocol
from zero3d_benchmark.run import folder
from zero3d_benchmark.run.folder import NO_TRUTH

PUBLISHED = Path(__file__).parent.parent / "published.json"
MORE = ("psnr", "ssim", "iou")
"""Published figures of which more is better."""
FEW = 2048
"""Pictures below which the covariance of Inception's features is singular."""
HIDDEN = ("precision@", "recall@")
"""Figures that rows hold and tables leave out."""


@dataclass(frozen=True)
class Figure:
    """Over objects: `mean`, standard deviation `sd` (of the sample; None of one object), and how many, `n`."""

    mean: float
    sd: float | None
    n: int


@dataclass
class Line:
    """A method's line. `failed`: objects without figures. `source`: of a published row; `star`: its code is not public."""

    method: str
    figures: dict[str, Figure] = field(default_factory=dict)
    failed: int = 0
    objects: int = 0
    seconds: float | None = None
    source: str = ""
    star: bool = False


@dataclass
class Table:
    """`columns`: figure -> whether "less" or "more" is better."""

    protocol: Protocol
    columns: dict[str, str]
    lines: list[Line]
    published: list[Line]
    failures: list[tuple[str, str, str]]
    notes: list[str] = field(default_factory=list)
    known: frozenset[str] = frozenset({FLOOR})
    """Labels that are no methods: they know the truth."""

    def named(self, line: Line) -> str:
        """A measured line's name, with the mark of a protocol that was not published whole."""
        marked = self.protocol.nearest and line.method not in self.known
        return f"{line.method} (nearest recipe)" if marked else line.method

    def best(self, column: str) -> float | None:
        """The best measured mean: of methods that scored as many objects as any, the floor and the truth left out."""
        found = [
            line.figures[column] for line in self.lines if column in line.figures and line.method not in self.known
        ]
        most = max((figure.n for figure in found), default=0)
        means = [figure.mean for figure in found if figure.n == most and math.isfinite(figure.mean)]
        return None if not means else min(means) if self.columns[column] == "less" else max(means)

    def is_best(self, line: Line, column: str) -> bool:
        """Whether a measured line's mean is `best` of that column."""
        figure = line.figures.get(column)
        return figure is not None and line.method not in self.known and figure.mean == self.best(column)

    @property
    def title(self) -> str:
        word = ", nearest recipe" if self.protocol.nearest else ""
        return f"{self.protocol.title or self.protocol.id} ({self.protocol.id} v{self.protocol.version}{word})"

    @property
    def protocol_notes(self) -> list[str]:
        """What a reader must know of the protocol, and where published rows come from."""
        notes = [f"nearest recipe: {note}" if self.protocol.nearest else note for note in self.protocol.notes]
        sources = sorted({line.source for line in self.published})
        notes += [f"published rows: {'; '.join(sources)}"] if sources else []
        if any(line.star for line in self.published):
            notes.append("* the code that made it is not public; only the protocol's words are shared")
        return notes


def summarised(values: Sequence[float]) -> Figure:
    """Mean and deviation of the finite ones; infinite where all are (a PSNR of equal pictures)."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return Figure(values[0], None, len(values))
    mean = math.fsum(finite) / len(finite)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in finite) / (len(finite) - 1)) if len(finite) > 1 else None
    return Figure(mean, spread, len(finite))


def make(out: Path, protocol: Protocol, measures: Measures) -> Table:
    """The table of what stands in a folder."""
    manifest = folder.read_manifest(out) or {}
    by: dict[str, list[dict[str, Any]]] = {label: [] for label in [*manifest.get("methods", {}), FLOOR]}
    for row in folder.rows(out):
        by.setdefault(row["method"], []).append(row)
    lines, failures = [], []
    pictures: dict[str, set[int]] = {}
    for label, rows in by.items():
        good = [row for row in rows if row["error"] is None]
        failures += [(label, row["object"], row["error"]) for row in rows if row["error"] is not None]
        names = list(dict.fromkeys(name for row in good for name in row["figures"]))
        figures = {name: summarised([r["figures"][name] for r in good if name in r["figures"]]) for name in names}
        whole, counts = _distributions(out, label, good, measures)
        figures |= whole
        for name, count in counts.items():
            pictures.setdefault(name, set()).add(count)
        if rows:
            spent = [row["method_seconds"] for row in good if "method_seconds" in row]
            seconds = sum(spent) / len(spent) if spent else None
            lines.append(Line(label, figures, len(rows) - len(good), len(rows), seconds))
    kinds = {label: metric.better for label, metric in measures.all.items()}
    found = list(dict.fromkeys(name for line in lines for name in line.figures))
    found = [name for name in found if not any(word in name for word in HIDDEN)]
    columns = {name: next((b for label, b in kinds.items() if _of(name, label)), "less") for name in found}
    order = list(kinds)
    columns = dict(
        sorted(columns.items(), key=lambda item: next(i for i, k in enumerate([*order, ""]) if _of(item[0], k)))
    )
    shown = list(manifest.get("objects", {}))
    notes = [f"{len(shown)} objects, seed {manifest.get('seed')}"]
    for name, several in pictures.items():
        few = (
            f"; below {FEW:,} FID reads too high, and figures compare at one count alone" if min(several) < FEW else ""
        )
        notes.append(f"{name}: of {' or '.join(f'{count:,}' for count in sorted(several))} pictures a method{few}")
    missing = sum(len(shown) - line.objects for line in lines if line.method in manifest.get("methods", {}))
    missing += sum(len(shown) for label in manifest.get("methods", {}) if not by[label])
    notes += [f"{missing} rows are not there yet"] if missing > 0 else []
    drawn: dict[str, list[str]] = {}
    for label, rows in by.items():
        for how in sorted({row["drawn"] for row in rows if "drawn" in row}):
            drawn.setdefault(how, []).append(label)
    notes += [f"meshes are drawn {how}: {', '.join(labels)}" for how, labels in drawn.items()]
    bare = sum(NO_TRUTH in row.get("notes", []) for rows in by.values() for row in rows)
    notes += [f"{bare} rows with {NO_TRUTH}"] if bare else []
    beside, said = _beside(protocol, columns, manifest)
    columns |= {
        name: "more" if name in MORE else "less" for line in beside for name in line.figures if name not in columns
    }
    notes += said
    oracles = frozenset(label for label, method in manifest.get("methods", {}).items() if method.get("oracle"))
    return Table(protocol, columns, lines, beside, failures, notes, oracles | {FLOOR})


def _of(name: str, label: str) -> bool:
    return not label or name == label or name.startswith((f"{label}.", f"{label}@"))


def _distributions(
    out: Path, label: str, rows: Sequence[Mapping[str, Any]], measures: Measures
) -> tuple[dict[str, Figure], dict[str, int]]:
    """Figures of all pictures at once, whose `n` counts objects, and how many pictures each is of."""
    files = [folder.features(out, label, row["object"]) for row in rows]
    held = [load_file(path) for path in files if path.is_file()]
    found: dict[str, Figure] = {}
    counts: dict[str, int] = {}
    for key, metric in measures.distributions.items():
        parts = [h for h in held if f"{key}.made" in h]
        if parts:
            made, true = (torch.cat([part[f"{key}.{which}"] for part in parts]) for which in ("made", "true"))
            for name, value in metric.distance(made, true).items():
                column = key if name == key else name if name.startswith(key) else f"{key}.{name}"
                found[column] = Figure(float(value), None, len(parts))
                counts[column] = len(made)
    return found, counts


def _beside(protocol: Protocol, columns: Collection[str], manifest: Mapping[str, Any]) -> tuple[list[Line], list[str]]:
    """The published lines that may stand beside what was measured, and what is to be said of their objects."""
    kept, found = protocol.published, published(protocol, columns)
    if not found or not manifest:
        return found, []
    data = manifest.get("set", {}).get("options", {}).get("type", "procedural")
    if kept.set and data != kept.set:
        return [], [f"published rows are left out: they are of the set {kept.set}, these objects of {data}"]
    count = len(manifest.get("objects", {}))
    if kept.objects is not None and count != kept.objects:
        return found, [f"published rows are of other objects: {kept.objects} of them, here {count}"]
    return found, []


def published(protocol: Protocol, measured: Collection[str] | None = None) -> list[Line]:
    """Rows that others published by this protocol; a method of several tables has one line.

    measured: figures of which a row must have one; its others come with it. None takes all rows.
    """
    kept = protocol.published
    every = json.loads(PUBLISHED.read_text(encoding="utf-8"))["rows"]
    found: dict[tuple[str, str], Line] = {}
    for row in every:
        if row["protocol"] not in kept.rows or not any(word in row["source"] for word in kept.where or [""]):
            continue
        figures = {ours: Figure(float(row[name]), None, 0) for ours, name in kept.figures.items() if name in row}
        if measured is not None and not figures.keys() & set(measured):
            continue
        key = row["method"], row["source"].partition(" Table")[0]
        line = found.setdefault(key, Line(row["method"], source=row["source"], star=not kept.code_public))
        if row["source"] not in line.source:
            line.source += f"; {row['source']}"
        line.figures |= figures
    return list(found.values())
