"""The tables of `algorithms.py`: one a teacher, means over its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

HEADINGS = {
    "perfect": "A perfect teacher",
    "flawed": "A teacher that errs",
    "nano": "nano, on objects it has never seen",
}
COLUMNS = ("CD", "beside `sds`", "IoU", "PSNR, dB", "normals", "calls", "steps", "s")
YARDSTICK = "sds"

Row = dict[str, Any]
Objects = Mapping[str, Row]
"""An algorithm's rows of one budget, by object."""


def report(rows: Sequence[Row], settings: str) -> str:
    """Markdown. `settings`: what all runs have in common."""
    tables = [_table(teacher, [row for row in rows if row["teacher"] == teacher]) for teacher in HEADINGS]
    return "\n\n".join([settings, *(table for table in tables if table)])


def _table(teacher: str, rows: Sequence[Row]) -> str:
    groups: dict[tuple[int, str], dict[str, Row]] = {}
    for row in rows:  # of one run twice, the later one
        groups.setdefault((row["budget"], row["algorithm"]), {})[row["object"]] = row
    if not groups:
        return ""
    most = max(len(found) for found in groups.values())
    groups = {key: found for key, found in groups.items() if len(found) == most}  # others' means are of other objects
    floor = mean({row["object"]: row["chamfer_floor"] for row in rows}.values())
    lines = [
        f"**{HEADINGS[teacher]}.** Means of {most} object(s); the floor of the Chamfer distance is {floor:.4f}.",
        "",
        f"| budget | algorithm | {' | '.join(COLUMNS)} |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    for (budget, algorithm), found in sorted(groups.items(), key=lambda pair: pair[0][0]):
        lines.append(_line(budget, algorithm, found, groups.get((budget, YARDSTICK), {})))
    return "\n".join(lines)


def _line(budget: int, algorithm: str, found: Objects, yardstick: Objects) -> str:
    def average(name: str) -> float:
        return mean(row[name] for row in found.values())

    lost = sum(not row["surface"] for row in found.values())
    cells = [
        f"{average('chamfer'):.4f}",
        _beside(found, yardstick) if algorithm != YARDSTICK else "",
        f"{average('iou'):.3f}",
        f"{average('psnr'):.1f}",
        f"{average('normal_consistency'):.3f}",
        f"{average('calls'):.0f}",
        f"{average('steps'):.0f}",
        f"{average('seconds'):.1f}",
    ]
    return f"| {budget} | `{algorithm}`{f', {lost} without a surface' * bool(lost)} | {' | '.join(cells)} |"


def _beside(found: Objects, yardstick: Objects) -> str:
    """The mean difference of Chamfer distances, object by object, and its standard error."""
    both = found.keys() & yardstick.keys()
    differences = [found[name]["chamfer"] - yardstick[name]["chamfer"] for name in both]
    if len(differences) < 2:
        return ""
    return f"{mean(differences):+.4f} ± {stdev(differences) / len(differences) ** 0.5:.4f}"
