"""The finished object, turning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy

from zero3d.films import to_uint8, write_film
from zero3d.interfaces import Observer, RunView
from zero3d_observers.pictures import draw_around, enlarged


@dataclass
class TurntableConfig:
    """`frames` of one turn; `fps`: frames a second; `size`: pixels a side, even (the field is drawn at the run's
    resolution and enlarged); `elevation_deg` of the camera."""

    frames: int = 60
    fps: int = 20
    size: int = 256
    elevation_deg: float = 20.0

    def __post_init__(self) -> None:
        if not 1 <= self.frames <= 3600:
            raise ValueError(f"frames: {self.frames}; 1 to 3600")
        if not 1 <= self.fps <= 120:
            raise ValueError(f"fps: {self.fps}; 1 to 120")
        if self.size % 2 or not 16 <= self.size <= 2048:
            raise ValueError(f"size: {self.size}; an even number from 16 to 2048")
        if not -90 <= self.elevation_deg <= 90:
            raise ValueError(f"elevation_deg: {self.elevation_deg}; -90 to 90 degrees")


class Turntable(Observer):
    """At the end of a finished run, turntable.mp4 (H.264): once around, from the input's azimuth."""

    name: ClassVar[str] = "turntable"
    Config: ClassVar[type[Any]] = TurntableConfig
    writes: ClassVar[tuple[str, ...]] = ("turntable.mp4",)

    def on_end(self, run: RunView, finished: bool) -> None:
        if not finished:
            return
        frames = (self._frame(run, 360 * k / self.config.frames) for k in range(self.config.frames))
        write_film(run.folder / "turntable.mp4", frames, self.config.fps)

    def _frame(self, run: RunView, azimuth_deg: float) -> numpy.ndarray:
        colour, _ = draw_around(run, azimuth_deg, self.config.elevation_deg)
        return enlarged(to_uint8(colour), self.config.size)
