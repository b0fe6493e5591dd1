"""Pictures of how the field looks on the way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import torch
from PIL import Image

from zero3d.interfaces import Observer, RunView
from zero3d.values import Step
from zero3d_observers.pictures import draw_orbit, enlarged, to_uint8


@dataclass
class PreviewConfig:
    """`every`: steps between previews. `size`: pixels of each panel. `views`: panels around the object."""

    every: int = 100
    size: int = 128
    views: int = 4

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")
        if not 16 <= self.size <= 1024:
            raise ValueError(f"size: {self.size}; 16 to 1024 pixels")
        if not 1 <= self.views <= 64:
            raise ValueError(f"views: {self.views}; 1 to 64")


class Preview(Observer):
    """Every some steps, previews/step_N.png: the picture and views around the object above, their opacity below."""

    name: ClassVar[str] = "preview"
    Config: ClassVar[type[Any]] = PreviewConfig

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        if (step.index + 1) % self.config.every == 0 or step.index + 1 == run.steps:
            self._write(run, step.index + 1)

    def _write(self, run: RunView, done: int) -> None:
        elevation = float(torch.rad2deg(run.input_camera.elevation[0]))
        azimuths = torch.arange(self.config.views) * (360.0 / self.config.views)
        colour, view = draw_orbit(run, azimuths, elevation)
        top = [run.picture.rgb, *colour]
        below = [run.picture.mask.expand(-1, -1, 3), *view.opacity.expand(-1, -1, -1, 3)]
        rows = [numpy.concatenate([enlarged(to_uint8(p), self.config.size) for p in row], axis=1) for row in (top, below)]
        folder = run.folder / "previews"
        folder.mkdir(exist_ok=True)
        path = folder / f"step_{done:06d}.png"
        temporary = path.with_suffix(".tmp")
        Image.fromarray(numpy.concatenate(rows)).save(temporary, format="PNG")
        os.replace(temporary, path)
