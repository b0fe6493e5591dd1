"""Whether weights are Zero123++'s, and what they hold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from zero3d.weights import index_of, local_files
from zero3d_novel_views.report import weight_lines
from zero3d_novel_views.zero123plus.source import PARTS, Folder


def is_zero123plus(path: Path) -> bool:
    """A folder of Zero123++, whole or not."""
    return path.is_dir() and "ramping_coefficients" in index_of(path)


def report_zero123plus(path: Path) -> Iterator[str] | None:
    """Of a folder of Zero123++; None if it is none."""
    if not is_zero123plus(path):
        return None
    source = Folder(path, local_files(path))

    def state(part: str) -> Any:
        return source.state(part, source.sketch(part))

    states = {part: partial(state, part) for part in PARTS}
    return weight_lines(f"{path}: Zero123++ in diffusers layout", source.weight_files, states, source.check)
