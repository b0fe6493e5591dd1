"""The figures of an evaluation: as JSON, and as a table beside their floors."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zero3d import files

VARIANTS = {
    "chamfer": "half the sum of both mean distances, not squared, between random surface points",
    "fscore": "harmonic mean of precision and recall of distances, not squared, below the threshold",
    "normal_consistency": "mean |cosine| of the normals of nearest points, both ways, halved",
    "iou": "solids by |winding number| > 1/2 on 64^3 cell centres of the unit cube",
    "psnr": "of pictures in [0, 1] on white, the object's surroundings included; the mean over views",
    "fid_clip": "Frechet distance on CLIP features: not the Inception FID of the literature",
}
"""Which of the formulas in use under a name is meant."""


@dataclass
class Report:
    """`figures`: name -> number. `floors`: what the truth would score against itself, by the same names. `notes`: lines.

    `variants`: which formula a name stands for.
    """

    figures: dict[str, float | int] = field(default_factory=dict)
    floors: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    variants: dict[str, str] = field(default_factory=dict)
    deviations: dict[str, float] = field(default_factory=dict)
    """The standard deviation over views (with N - 1) of figures that are means of views, by the same names."""

    def add(self, figures: dict[str, Any], floors: dict[str, float] | None = None) -> None:
        """More figures, with the floors of some."""
        self.figures |= figures
        self.floors |= floors or {}
        self.variants |= {key: said for key, said in VARIANTS.items() if any(name.startswith(key) for name in figures)}

    def write(self, out: Path) -> None:
        """As JSON: figures at the top level, floors under NAME_floor, deviations under NAME_std, `variants`, `notes`.

        Raises:
            WriteError: the file cannot be written.
        """
        flat: dict[str, Any] = self.figures | {f"{name}_floor": value for name, value in self.floors.items()}
        flat |= {f"{name}_std": value for name, value in self.deviations.items()}
        flat = {key: value if math.isfinite(value) else None for key, value in flat.items()}  # JSON has no infinity
        files.write_text(out, json.dumps(flat | {"variants": self.variants, "notes": self.notes}, indent=2) + "\n")

    def show(self, out: Path | None) -> None:
        """The table on the screen, without precision and recall, then the notes."""
        from rich.console import Console
        from rich.markup import escape
        from rich.table import Table

        table = Table(box=None, pad_edge=False)
        table.add_column("metric")
        table.add_column("value", justify="right")
        if self.floors:
            table.add_column("floor", justify="right", style="dim")
        for key, value in self.figures.items():
            if key.startswith(("precision@", "recall@")):
                continue
            floor = [_shown(self.floors[key]) if key in self.floors else ""] if self.floors else []
            spread = f" ± {_shown(self.deviations[key])}" if key in self.deviations else ""
            table.add_row(key, _shown(value) + spread, *floor)
        console = Console()
        console.print(table)
        if self.floors:
            console.print("floor: the true surface against another sample of itself", style="dim")
        for note in self.notes:
            console.print(escape(f"note: {note}"), soft_wrap=True)
        if out:
            console.print(f"written to {escape(str(out))}", soft_wrap=True)


def _shown(value: float) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)
