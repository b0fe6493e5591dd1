"""Options of `zero123plus`."""

from __future__ import annotations

from dataclasses import dataclass

from zero3d_novel_views.known import ZERO123PLUS
from zero3d_novel_views.shared import check_options

AZIMUTHS = [30.0, 90.0, 150.0, 210.0, 270.0, 330.0]
"""Degrees from the input's, view by view: the tile's rows from the top, each from the left."""
ELEVATIONS = {"1.1": [30.0, -20.0] * 3, "1.2": [20.0, -10.0] * 3}
"""By version, absolute."""


@dataclass
class Zero123PlusConfig:
    """Options of `zero123plus`.

    weights: a folder in diffusers' layout, or a hub id. version: whose elevations its views have, 1.1 (30 and -20 degrees)
    or 1.2 (20 and -10); auto takes it from the name of the weights, else 1.2. size: side of each view, pixels; 320 as
    published. fov_deg, distance: of the views' cameras: 30 degrees as published for 1.2; a distance of 0 shows as much of
    the world as the standard input camera does (the published pages name none). grey: behind the object in the picture
    that it is conditioned on, 0 to 1. dtype: of the U-Net, float32, float16 or bfloat16; auto is float16 on CUDA, else
    float32. variant: of a folder's files, for example fp16. revision: of a hub id. offline: take what was fetched before,
    never the network.
    """

    weights: str = ZERO123PLUS[0].name
    version: str = "auto"
    size: int = 320
    fov_deg: float = 30.0
    distance: float = 0.0
    grey: float = 127 / 255
    dtype: str = "auto"
    variant: str = ""
    revision: str = ""
    offline: bool = False

    def __post_init__(self) -> None:
        check_options(self)
        if self.version not in ("auto", *ELEVATIONS):
            raise ValueError(f"version: {self.version!r}; one of auto, {', '.join(ELEVATIONS)}")
        told = next((v for v in ELEVATIONS if f"v{v}" in self.weights), None)
        if self.version != "auto" and told not in (None, self.version):
            raise ValueError(f"version: {self.version}, but weights {self.weights!r} are of {told}; set version=auto")
        if not 0 <= self.grey <= 1:
            raise ValueError(f"grey: {self.grey}; 0 (black) to 1 (white)")
        self.elevations = ELEVATIONS[(told or "1.2") if self.version == "auto" else self.version]
