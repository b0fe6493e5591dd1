"""metrics.jsonl: a line of JSON a step."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import RunError
from zero3d.files import cannot_write, write_text
from zero3d.folder.layout import METRICS


class MetricsLog:
    """metrics.jsonl (or `name`): a flushed line a step. Opening it at step n drops the lines of steps to be done again.

    What is no line of a step (half a line of a killed run, another program's bytes) is dropped too. What JSON has no
    number for, NaN and infinity, is null.

    Raises:
        WriteError: a line cannot be written.
        RunError: the former lines cannot be read.
    """

    def __init__(self, folder: Path, first_step: int, name: str = METRICS) -> None:
        self._path = folder / name
        write_text(self._path, "".join(_line(record) for record in _kept(self._path, first_step)))
        try:
            self._file = open(self._path, "a", encoding="utf-8")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def write(self, step: int, figures: dict[str, Any]) -> None:
        try:
            self._file.write(_line({"step": step, **figures}))
            self._file.flush()
        except OSError as error:
            raise cannot_write(self._path, error) from error

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be flushed has been reported
            self._file.close()


def read_metrics(folder: Path, name: str = METRICS) -> list[dict[str, Any]]:
    """The lines of a folder's metrics.jsonl, as they were written; none where there is no log. What is no line of a step is
    left out.

    Raises:
        RunError: it cannot be read.
    """
    return _kept(folder / name)


def logged_seconds(records: Iterable[Mapping[str, Any]]) -> float:
    """Seconds of the optimisation in all sittings: the clock of a log's lines begins anew when a run is resumed."""
    total = last = 0.0
    for record in records:
        now = record.get("seconds")
        if isinstance(now, int | float):
            total, last = total + (last if now < last else 0.0), float(now)
    return total + last


def _line(record: dict[str, Any]) -> str:
    return json.dumps(_finite(record), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def _kept(path: Path, first_step: float = math.inf) -> list[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines() if path.exists() else []
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror}); allow reading it, or move it away") from None
    records = []
    for line in lines:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        step = record.get("step") if isinstance(record, dict) else None
        if isinstance(step, int) and not isinstance(step, bool) and 0 <= step < first_step:
            records.append(record)
    return records
