"""The tables of `algorithms.py`: one a teacher, means over its objects."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean
from typing import Any

HEADINGS = {
    "perfect": "A perfect teacher",
    "flawed": "A teacher that errs",
    "nano": "nano, on objects it has never seen",
}
COLUMNS = ("CD", "IoU", "PSNR, dB", "normals", "calls", "steps", "s")


def report(rows: Sequence[dict[str, Any]], settings: str) -> str:
    """Markdown. `settings`: what all runs have in common."""
    tables = [_table(teacher, [row for row in rows if row["teacher"] == teacher]) for teacher in HEADINGS]
    return "\n\n".join([settings, *(table for table in tables if table)])


def _table(teacher: str, rows: Sequence[dict[str, Any]]) -> str:
    groups: dict[tuple[int, str], dict[str, dict[str, Any]]] = {}
    for row in rows:  # of one run twice, the later one
        groups.setdefault((row["budget"], row["algorithm"]), {})[row["object"]] = row
    if not groups:
        return ""
    most = max(len(found) for found in groups.values())
    floor = mean({row["object"]: row["chamfer_floor"] for row in rows}.values())
    lines = [
        f"**{HEADINGS[teacher]}.** Means of {most} objects; the floor of the Chamfer distance is {floor:.4f}.",
        "",
        f"| budget | algorithm | {' | '.join(COLUMNS)} |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    best = _best(groups)
    for (budget, algorithm), found in sorted(groups.items(), key=lambda pair: pair[0][0]):
        lines.append(_line(budget, algorithm, list(found.values()), most, algorithm == best[budget]))
    return "\n".join(lines)


def _best(groups: dict[tuple[int, str], dict[str, dict[str, Any]]]) -> dict[int, str]:
    """Of each budget, the algorithm of the least Chamfer distance."""
    best: dict[int, tuple[float, str]] = {}
    for (budget, algorithm), found in groups.items():
        score = (mean(row["chamfer"] for row in found.values()), algorithm)
        best[budget] = min(best.get(budget, score), score)
    return {budget: algorithm for budget, (_, algorithm) in best.items()}


def _line(budget: int, algorithm: str, found: Sequence[dict[str, Any]], most: int, best: bool) -> str:
    def average(name: str) -> float:
        return mean(row[name] for row in found)

    lost = sum(not row["surface"] for row in found)
    notes = [f"{lost} without a surface"] * bool(lost) + [f"{len(found)} objects"] * (len(found) < most)
    name = f"`{algorithm}`" + (f" ({', '.join(notes)})" if notes else "")
    distance = f"{average('chamfer'):.4f}"
    cells = [
        f"**{distance}**" if best and budget else distance,
        f"{average('iou'):.3f}",
        f"{average('psnr'):.1f}",
        f"{average('normal_consistency'):.3f}",
        f"{average('calls'):.0f}",
        f"{average('steps'):.0f}",
        f"{average('seconds'):.1f}",
    ]
    return f"| {budget} | {name} | {' | '.join(cells)} |"
