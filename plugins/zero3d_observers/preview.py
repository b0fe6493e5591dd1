"""Pictures of how the field looks on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import torch
from PIL import Image
from torch import Tensor

from zero3d.files import replacing
from zero3d.films import to_uint8
from zero3d.interfaces import Observer, RunView
from zero3d.values import Picture, Step
from zero3d_observers.pictures import draw_around, enlarged, nearness


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
    """Every some steps, previews/step_N.png: the picture and views around the object; their opacity and depth below.

    The first view is the input camera's, so it stands beside the picture it should equal. Near is bright in the depth
    row, which only renderers with depth get.
    """

    name: ClassVar[str] = "preview"
    Config: ClassVar[type[Any]] = PreviewConfig
    writes: ClassVar[tuple[str, ...]] = ("previews/",)

    def on_step(self, run: RunView, step: Step, metrics: dict[str, Any]) -> None:
        done = step.index + 1
        if done % self.config.every == 0 or done == run.steps:
            self._write(run, done)

    def _write(self, run: RunView, done: int) -> None:
        folder = run.folder / "previews"
        folder.mkdir(exist_ok=True)
        path = folder / f"step_{done:06d}.png"
        sheet = Image.fromarray(self._sheet(run))
        with replacing(path) as temporary:
            sheet.save(temporary, format="PNG")

    def _sheet(self, run: RunView) -> numpy.ndarray:
        """All panels as one picture (rows * size, (1 + views) * size, 3) uint8."""
        elevation = float(torch.rad2deg(run.input_camera.elevation[0]))
        distance = float(run.input_camera.distance[0])
        colour, opacity, depth = _first_column(run.picture)
        for k in range(self.config.views):
            drawn, view = draw_around(run, 360 * k / self.config.views, elevation)
            near = nearness(view, distance)
            colour.append(drawn)
            opacity.append(view.opacity[0])
            if near is not None:
                depth.append(near)
        rows = [colour, opacity, depth] if len(depth) == len(colour) else [colour, opacity]
        return numpy.concatenate([numpy.concatenate([self._panel(p) for p in row], axis=1) for row in rows])

    def _panel(self, picture: Tensor) -> numpy.ndarray:
        return enlarged(to_uint8(picture.expand(-1, -1, 3)), self.config.size)


def _first_column(picture: Picture | None) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The input beside its views: colour, opacity and depth; nothing for a run without a picture."""
    if picture is None:
        return [], [], []
    return [picture.rgb], [picture.mask], [torch.zeros_like(picture.mask)]
