"""`zero3d dataset check`: what a folder in the published layout holds, and what is wrong with it."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from zero3d.errors import UserError
from zero3d.geometry import project
from zero3d.pose_files import LARGEST, read_pose
from zero3d.values import Cameras
from zero3d_dataset import layout

OFF_CENTRE_DEG = 1.0
"""A published camera looks at the origin; one further off than this is a problem."""

SLACK = 2.0
"""Pixels by which a silhouette may stand over the outline of the unit cube that holds every object."""

SHOWN = 12
"""Problems in the table; all of them are in --json."""


@dataclass
class Report:
    """Figures of a folder. `problems`: (object, what is wrong). Counters are over the objects looked into."""

    folder: Path
    listed: int = 0
    looked_into: int = 0
    views: Counter[int] = field(default_factory=Counter)
    sizes: Counter[str] = field(default_factory=Counter)
    distances: list[float] = field(default_factory=list)
    elevations: list[float] = field(default_factory=list)
    coverage: list[float] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "objects": self.listed,
            "looked_into": self.looked_into,
            "views": dict(sorted(self.views.items())),
            "sizes": dict(self.sizes.most_common()),
            "distance": _range(self.distances),
            "elevation_deg": _range(self.elevations),
            "coverage": _range(self.coverage),
            "problems": [{"object": uid, "problem": problem} for uid, problem in self.problems],
        }


def check(folder: Path, sample: int = 200) -> Report:
    """Look into `sample` objects, drawn at random with seed 0 (0: all), that valid_paths.json names.

    Raises:
        UserError: no such folder, or no valid_paths.json that lists names.
    """
    names = _names(folder)
    report = Report(folder, listed=len(names))
    for name, times in Counter(names).items():
        if times > 1:
            report.problems.append((name, f"listed {times} times"))
    names = list(dict.fromkeys(names))
    chosen = sorted(random.Random(0).sample(names, sample)) if 0 < sample < len(names) else names
    report.looked_into = len(chosen)
    for name in chosen:
        _look_into(folder / name, name, report)
    usual = report.views.most_common(1)
    if usual and len(report.views) > 1:
        report.problems += [
            ("", f"{count} objects have {views} views, most have {usual[0][0]}")
            for views, count in sorted(report.views.items())
            if views != usual[0][0]
        ]
    return report


def show(report: Report, out: Path | None = None) -> None:
    """One screen; everything in the JSON file `out`.

    Raises:
        UserError: the file cannot be written.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    figures = report.to_json()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("objects", f"{report.listed} listed, {report.looked_into} looked into")
    table.add_row("views", _counted(report.views))
    table.add_row("picture size", _counted(report.sizes))
    for name, unit in (("distance", ""), ("elevation_deg", ""), ("coverage", " of the picture")):
        low, middle, high = figures[name] or (math.nan,) * 3
        table.add_row(name.replace("_deg", ", degrees"), f"{low:.2f} to {high:.2f}, mean {middle:.2f}{unit}")
    table.add_row("problems", str(len(report.problems)))
    console = Console(width=None if Console().is_terminal else 160)
    console.print(table)
    for uid, problem in report.problems[:SHOWN]:
        console.print(escape(f"  {uid}: {problem}" if uid else f"  {problem}"), soft_wrap=True)
    if len(report.problems) > SHOWN:
        console.print(f"  and {len(report.problems) - SHOWN} more; --json FILE has all")
    if out:
        try:
            out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise UserError(f"--json {out}: cannot be written ({error.strerror}); give another file") from None


def _names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name one with {layout.VALID}")
    try:
        names = json.loads((folder / layout.VALID).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder}: no readable {layout.VALID} ({error}); name a folder of that layout") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{folder / layout.VALID}: not a list of folder names")
    return names


def _look_into(folder: Path, name: str, report: Report) -> None:
    if not folder.is_dir():
        report.problems.append((name, "listed, but no such folder"))
        return
    views = layout.complete_views(folder)
    report.views[views] += 1
    files = {path.name for path in folder.iterdir() if layout.VIEW.fullmatch(path.name)}
    whole = {f"{view:03d}.{kind}" for view in range(views) for kind in ("png", "npy")}
    if files - whole:
        report.problems.append((name, f"{', '.join(sorted(files - whole)[:3])}: empty, or without its other half"))
    for view in range(views):
        stem = folder / f"{view:03d}"
        try:
            with Image.open(stem.with_suffix(".png")) as picture:
                mode, alpha = picture.mode, numpy.asarray(picture.convert("RGBA"))[..., 3]
        except (OSError, SyntaxError, ValueError) as error:
            report.problems.append((name, f"{view:03d}.png cannot be read ({error})"))
            continue
        report.sizes[f"{alpha.shape[1]}x{alpha.shape[0]} {mode}"] += 1
        report.coverage.append(float((alpha > 0).mean()))
        if mode not in ("RGBA", "LA", "PA"):
            report.problems.append((name, f"{view:03d}.png is {mode}; it has no alpha"))
        elif not alpha.any():
            report.problems.append((name, f"{view:03d}.png shows nothing"))
        pose = _pose(stem.with_suffix(".npy"), name, report)
        if pose is not None and mode == "RGBA":
            _compare(pose, alpha, f"{view:03d}", name, report)


def _pose(path: Path, name: str, report: Report) -> torch.Tensor | None:
    """Camera to world (4, 4), or None with a problem noted."""
    try:
        with path.open("rb") as file:
            pose = read_pose(file.read(LARGEST), path.name)
    except (OSError, UserError) as error:
        report.problems.append((name, f"{path.name} cannot be read" if isinstance(error, OSError) else str(error)))
        return None
    eye = pose[:3, 3]
    distance = float(eye.norm())
    report.distances.append(distance)
    if distance > 0:
        report.elevations.append(math.degrees(math.asin(max(-1.0, min(1.0, float(eye[2]) / distance)))))
        off = math.degrees(math.acos(max(-1.0, min(1.0, float((pose[:3, 2] * eye).sum()) / distance))))
        if off > OFF_CENTRE_DEG:
            said = "away from the origin (OpenCV axes?)" if off > 179 else f"{off:.1f} degrees past the origin"
            report.problems.append((name, f"{path.name}: looks {said}"))
            return None
    return pose


def _compare(pose: torch.Tensor, alpha: numpy.ndarray, view: str, name: str, report: Report) -> None:
    """A silhouette lies inside the outline of the cube [-0.5, 0.5]^3: else scale, lens or pose are not the picture's."""
    height, width = alpha.shape
    cube = torch.tensor([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]).double()
    places = project(cube, Cameras(pose[None], height, width))[0][0].numpy()
    for axis, pixels in ((0, width), (1, height)):
        low, high = (places[:, axis].min() + 1) / 2 * pixels, (places[:, axis].max() + 1) / 2 * pixels
        filled = numpy.flatnonzero(alpha.any(axis=axis))
        if len(filled) and (filled[0] < low - SLACK or filled[-1] + 1 > high + SLACK):
            report.problems.append((name, f"{view}: the object stands out of the unit cube's outline"))
            return


def _range(values: list[float]) -> tuple[float, float, float] | None:
    return (min(values), sum(values) / len(values), max(values)) if values else None


def _counted(counter: Counter[Any]) -> str:
    shown = [f"{value} ({count})" for value, count in counter.most_common(4)]
    return ", ".join(shown) + (", ..." if len(counter) > 4 else "") or "none"
