"""What the samplers share: their options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zero3d.interfaces import CameraSampler
from zero3d.schedule import Schedule
from zero3d.values import Step


@dataclass
class SamplerConfig:
    """resolution: side of the views, pixels of the field's image space. views: novel views a step.

    Both may change over a run: {0%: 64, 50%: {jump: 128}}; between two plain knots they are rounded to whole numbers.

    near_offset: how far a near view's camera moves, world units (0.05 in Zero-1-to-3).
    """

    resolution: Any = 64
    views: Any = 1
    near_offset: float = 0.05

    def __post_init__(self) -> None:
        self.resolution = _whole(self.resolution, "resolution", 2, 4096, "pixels")
        self.views = _whole(self.views, "views", 1, 10_000)
        if not 0 < self.near_offset <= 1:
            raise ValueError(f"near_offset: {self.near_offset}; above 0, at most 1 world unit")


class Sampler(CameraSampler):
    """A sampler with the options that all share."""

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__(config)
        self.resolution, self.views = (int(s.extremes[1]) for s in (config.resolution, config.views))
        self.near_offset = config.near_offset

    def pixels(self, total: int) -> int:
        sides, counts = self.config.resolution, self.config.views
        places = {total * i // 256 for i in range(257)}  # of ramps; jumps and ends by their knots
        for knot in (*sides.knots, *counts.knots):
            at = int(knot.at * total / 100 if knot.percent else knot.at)
            places |= {at - 1, at, at + 1}
        reached = [place for place in places if 0 <= place < total] or [0]
        return max(round(counts.at(i, total)) * round(sides.at(i, total)) ** 2 for i in reached)

    def side(self, step: Step) -> int:
        """Side of this step's views, pixels."""
        return round(self.config.resolution(step))

    def count(self, step: Step) -> int:
        """How many views this step has: whole groups."""
        return self.group * round(self.config.views(step) / self.group)


def _whole(value: Any, name: str, low: int, high: int, what: str = "") -> Schedule:
    schedule = Schedule.parse(value, name).within(low, high, name, what)
    for knot in schedule.knots:
        if knot.value != int(knot.value):
            raise ValueError(f"{name}: {knot.value:g}; a whole number is needed")
    if any(knot.jump for knot in schedule.knots) and all(knot.at > 0 for knot in schedule.knots):
        raise ValueError(f"{name}: a jump from nothing; say what holds from the start: {{0: {low}, ...}}")
    return schedule
