"""Options of `sv3d`."""

from __future__ import annotations

from dataclasses import dataclass

from zero3d_novel_views.known import SV3D
from zero3d_novel_views.shared import check_options


@dataclass
class Sv3dConfig:
    """Options of `sv3d`.

    weights: the published file, sv3d_p.safetensors, or the folder that `zero3d weights convert` made of it. elevation_deg:
    of the orbit, -85 to 85; empty takes the first picture's. clockwise: its azimuths count clockwise seen from above.
    size: side of the frames, pixels; 576 as published.
    fov_deg, distance: of the frames' cameras: 33.8 degrees, as the paper is remembered; a distance of 0 shows as much of the
    world as the standard input camera does. decode_frames: how many frames are decoded at once, 14 as published; fewer take
    less memory. dtype: of the U-Net, float32, float16 or bfloat16; auto is float16 on CUDA, else float32. config: a JSON
    file {part: {entry: value}} for a file that is not of the published size.
    """

    weights: str = SV3D[0].name
    elevation_deg: float | None = None
    clockwise: bool = False
    size: int = 576
    fov_deg: float = 33.8
    distance: float = 0.0
    decode_frames: int = 14
    dtype: str = "auto"
    config: str = ""

    def __post_init__(self) -> None:
        check_options(self)
        if self.elevation_deg is not None and not -85 <= self.elevation_deg <= 85:
            raise ValueError(f"elevation_deg: {self.elevation_deg}; -85 to 85 degrees, or empty for the picture's")
        if not 1 <= self.decode_frames <= 21:
            raise ValueError(f"decode_frames: {self.decode_frames}; 1 to 21")
