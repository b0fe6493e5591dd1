"""The figures of a run as curves: collected step by step, thinned, ready for a logarithmic axis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from zero3d.folder import read_metrics

MOST = 600
"""Points of a curve: when there are more, every second is left out."""


class Curves:
    """Each term's gradient norm, and each penalty's value, by the number of the step."""

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._values: dict[str, list[float]] = {}
        self._every = 1

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, figures: Mapping[str, Any]) -> None:
        """A step's figures; steps come in order, those between the `every`-th are left out."""
        if step % self._every:
            return
        self._steps.append(step)
        for name, value in figures.items():
            if name.endswith((".gradient", ".value")) and isinstance(value, int | float):
                column = self._values.setdefault(name, [])
                column += [math.nan] * (len(self._steps) - 1 - len(column))
                column.append(float(value))
        if len(self._steps) > MOST:
            self._every *= 2
            kept = [i for i, step in enumerate(self._steps) if step % self._every == 0]
            for column in self._values.values():
                column += [math.nan] * (len(self._steps) - len(column))
                column[:] = [column[i] for i in kept]
            self._steps = [self._steps[i] for i in kept]

    def read(self, folder: Path, before: int | None = None) -> None:
        """Add the steps of a run's metrics.jsonl, those up to `before` (excluded) alone if it is given; none without a log.

        Raises:
            RunError: it cannot be read.
        """
        for record in read_metrics(folder):
            if before is None or record["step"] < before:
                self.add(record["step"], record)

    def names(self, ending: str) -> list[str]:
        return [name for name in self._values if name.endswith(ending)]

    def table(self, ending: str) -> tuple[numpy.ndarray, ...]:
        """Steps, and a column for each of `names(ending)`: above 0, a gap filled by what was there before.

        NaN, which is not drawn, before a term speaks first.
        """
        columns = []
        for name in self.names(ending):
            column = numpy.full(len(self._steps), math.nan)
            column[: len(self._values[name])] = self._values[name]
            good = numpy.isfinite(column) & (column > 0)
            last = numpy.maximum.accumulate(numpy.where(good, numpy.arange(len(column)), -1))
            columns.append(numpy.where(last >= 0, column[last], math.nan))
        return (numpy.array(self._steps, dtype=numpy.float64), *columns)
