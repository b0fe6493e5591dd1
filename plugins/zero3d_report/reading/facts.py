"""A run's folder as facts. Recipe and manifest must be there; all else may be missing, damaged or of another version."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from zero3d import folder
from zero3d.errors import RecipeError, RunError
from zero3d.files.labels import is_file_name
from zero3d.recipe import RunOptions, read_yaml

LARGEST_LOG = 200_000_000
"""Bytes of metrics.jsonl that are read."""
Series = dict[str, list[tuple[float, float]]]
"""Name of a figure -> (step, value) points."""


@dataclass(frozen=True)
class Export:
    """One export: its label, the figures of its report, its files that are there (the main one first)."""

    label: str
    figures: Mapping[str, Any]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Stage:
    """A run without stages, or a stage: its folder, its name ("" of the only one), its resolved recipe and its manifest."""

    folder: Path
    name: str
    recipe: Mapping[str, Any]
    manifest: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """As planned."""
        given = self.recipe.get("steps", RunOptions.steps)
        return given if isinstance(given, int) else 0

    @property
    def done(self) -> int:
        """Steps whose figures were written."""
        return int(self.log[-1]["step"]) + 1 if self.log else 0

    @property
    def finished(self) -> bool:
        return self.done >= self.steps and (bool(self.exports) or not self.recipe.get("export"))

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl, by step."""
        try:
            too_large = (self.folder / folder.METRICS).stat().st_size > LARGEST_LOG
            return [] if too_large else folder.read_metrics(self.folder)
        except (OSError, RunError):
            return []

    @cached_property
    def series(self) -> Series:
        """Every figure of the log that is a finite number, but the clock."""
        found: Series = {}
        for record in self.log:
            for name, value in record.items():
                number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
                if number and name not in ("step", "seconds"):
                    found.setdefault(str(name), []).append((record["step"], float(value)))
        return found

    @property
    def seconds(self) -> float:
        """The optimisation's, of all sittings."""
        return folder.logged_seconds(self.log)

    @cached_property
    def exports(self) -> list[Export]:
        """By label, in the recipe's order."""
        named = self.recipe.get("export")
        order = [str(label) for label in named] if isinstance(named, dict) else []
        found = folder.exported_labels(self.folder)
        labels = [label for label in order if label in found] + [label for label in found if label not in order]
        return [Export(label, *folder.exported_files(self.folder, label)) for label in labels]

    @property
    def previews(self) -> list[Path]:
        return sorted((self.folder / "previews").glob("step_*.png"))

    @property
    def films(self) -> list[Path]:
        return sorted(self.folder.glob("*.mp4"))


@dataclass(frozen=True)
class Run:
    """A run's folder with all its stages that have begun; `evaluation`: the figures of `zero3d eval`, if it was run."""

    folder: Path
    recipe: Mapping[str, Any]
    manifest: Mapping[str, Any]
    stages: tuple[Stage, ...]
    unbegun: int

    @property
    def name(self) -> str:
        return self.folder.resolve().name or str(self.folder)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    @property
    def state(self) -> str:
        """In words."""
        done, last = sum(stage.done for stage in self.stages), self.stages[-1]
        if last.finished and not self.unbegun:
            return f"finished, {done} steps"
        of = f" of stage {last.name}" if last.name else ""
        return f"stopped after step {last.done} of {last.steps}{of}; go on with: zero3d resume {self.folder}"

    @property
    def pictures(self) -> dict[str, Path]:
        """The copies of the input pictures by label."""
        images = self.recipe.get("images")
        labels = [str(label) for label in images if is_file_name(str(label))] if isinstance(images, dict) else ["image"]
        named = {label: self.folder / folder.picture_name(label, labels) for label in labels}
        return {label: path for label, path in named.items() if path.is_file()}

    @property
    def prompt(self) -> str:
        return str(self.recipe.get("prompt") or "")

    @cached_property
    def evaluation(self) -> dict[str, Any]:
        try:
            found = json.loads((self.folder / "eval.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def elevation_deg(self) -> float:
        """How far the first picture's camera looked down."""
        given = self.manifest.get("input_elevation_deg")
        good = isinstance(given, int | float) and not isinstance(given, bool) and -90 <= given <= 90
        return float(given) if good and given is not None else 20.0


def read_run(place: str | Path) -> Run:
    """The facts of the run in a folder; of a stage's, those of its whole run.

    Raises:
        UserError: it is no run's folder, or its recipe cannot be read.
    """
    folder.open_run(place)  # says what is missing
    whole = folder.whole_run(place)
    recipe = read_yaml(whole / folder.RECIPE)
    stages = [
        Stage(path, path.name, _recipe(path), folder.read_manifest(path))
        for path in folder.stage_folders(whole)
        if (path / folder.MANIFEST).is_file()
    ]
    manifest = folder.read_manifest(whole)
    planned = len(folder.stage_folders(whole))
    unbegun = planned - len(stages)
    return Run(whole, recipe, manifest, tuple(stages) or (Stage(whole, "", recipe, manifest),), unbegun)


def _recipe(path: Path) -> dict[str, Any]:
    try:
        return read_yaml(path / folder.RECIPE)
    except RecipeError:
        return {}
