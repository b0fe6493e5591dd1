"""A scalar that may change over a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zero3d.values import Step


@dataclass(frozen=True)
class Knot:
    """The value at one place of the run; `jump` holds the last value until there instead of a ramp towards it."""

    at: float
    percent: bool
    value: float
    jump: bool


@dataclass(frozen=True)
class Schedule:
    """Piecewise linear in the step: a number, or a map {step or "percent%": value or {jump: value}}.

    Before the first knot its value holds (0 if it is a jump), after the last one the last value. `every`: it is 0 but in
    every so many steps, the first among them.
    """

    knots: tuple[Knot, ...]
    every: int = 1
    _placed: dict[int, list[tuple[float, Knot]]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def parse(cls, source: Any, name: str = "schedule") -> Schedule:
        """Read a recipe's value.

        Raises:
            ValueError: it is no finite number and no map of the form above; the message names `name`.
        """
        if isinstance(source, Schedule):
            return source
        if isinstance(source, Mapping):
            if not source:
                raise ValueError(f"{name}: an empty map; write a number or {{0%: 1, 50%: 2}}")
            return cls(tuple(_knot(key, value, name) for key, value in source.items()))
        return cls((Knot(0.0, False, _number(source, name), False),))

    def __call__(self, step: Step) -> float:
        return self.at(step.index, step.total)

    def at(self, index: int, total: int) -> float:
        """The value at optimisation step `index` of `total`."""
        if index % self.every:
            return 0.0
        if len(self.knots) == 1 and not self.knots[0].jump:
            return self.knots[0].value
        if total not in self._placed:
            placed = [(k.at * total / 100 if k.percent else k.at, k) for k in self.knots]
            self._placed[total] = sorted(placed, key=lambda pair: pair[0])
        before: tuple[float, float] | None = None
        for place, knot in self._placed[total]:
            if index < place:
                if before is None:
                    return 0.0 if knot.jump else knot.value
                if knot.jump:
                    return before[1]
                return before[1] + (knot.value - before[1]) * (index - before[0]) / (place - before[0])
            before = (place, knot.value)
        assert before is not None
        return before[1]

    @property
    def extremes(self) -> tuple[float, float]:
        """The smallest and the largest value it takes, for range checks."""
        values = [knot.value for knot in self.knots]
        return min(values), max(values)

    def within(self, low: float, high: float, name: str = "schedule", what: str = "") -> Schedule:
        """Itself, if all its values are in [low, high]; `what` is added to the error: a unit or a remedy.

        Raises:
            ValueError: one is not; the message names `name` and the bounds.
        """
        for value in self.extremes:
            if not low <= value <= high:
                raise ValueError(f"{name}: {value:g}; {low:g} to {high:g}{what and f', {what}'}")
        return self


def _number(value: Any, name: str) -> float:
    try:
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{name}: {value!r} is no number; write a number or a map {{step or percent%: value}}")
    return number


def _knot(key: Any, value: Any, name: str) -> Knot:
    text = str(key).strip()
    percent = text.endswith("%")
    try:
        at = float(text.rstrip("%"))
    except ValueError:
        raise ValueError(f"{name}: {key!r} is no step and no percentage; write 500 or 50%") from None
    if not 0 <= at < math.inf or (percent and at > 100):
        raise ValueError(f"{name}: {key!r} lies outside the run; steps start at 0, percentages end at 100%")
    if isinstance(value, Mapping):
        if set(value) != {"jump"}:
            raise ValueError(f"{name}.{key}: {dict(value)!r}; the only map allowed here is {{jump: value}}")
        return Knot(at, percent, _number(value["jump"], f"{name}.{key}.jump"), True)
    return Knot(at, percent, _number(value, f"{name}.{key}"), False)
