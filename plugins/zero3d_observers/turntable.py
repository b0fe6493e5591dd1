"""The finished object, turning."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from zero3d.interfaces import Observer, RunView
from zero3d_observers.pictures import draw_orbit, enlarged, to_uint8


@dataclass
class TurntableConfig:
    """frames of one turn; frames a second; size in pixels (even); elevation_deg of the camera."""

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


class Turntable(Observer):
    """At the end of a finished run, turntable.mp4 (H.264): once around, from the input's azimuth."""

    name: ClassVar[str] = "turntable"
    Config: ClassVar[type[Any]] = TurntableConfig

    def on_end(self, run: RunView, finished: bool) -> None:
        if not finished:
            return
        import av

        azimuths = torch.arange(self.config.frames) * (360.0 / self.config.frames)
        temporary = run.folder / "turntable.tmp.mp4"
        with av.open(str(temporary), "w", format="mp4") as container:
            stream = container.add_stream("libx264", rate=self.config.fps, options={"crf": "20"})
            stream.width = stream.height = self.config.size
            stream.pix_fmt = "yuv420p"
            for azimuth in azimuths:
                colour, _ = draw_orbit(run, azimuth[None], self.config.elevation_deg)
                frame = av.VideoFrame.from_ndarray(enlarged(to_uint8(colour[0]), self.config.size), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        os.replace(temporary, run.folder / "turntable.mp4")
