"""Options of `target_pictures`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from zero3d_score.shared.options import scale_schedule

SPACINGS = ("trailing", "even")
VIEW_SCALES = ("same", "triangle")


@dataclass
class TargetPicturesConfig:
    """Options of `target_pictures`. guidance_scale: s, 4 for Zero123++, 2.5 for SV3D; a number or a schedule.

    view_scale: "same" for every view, or "triangle": from 1 at the first over s in the middle to 1 at the last (SV3D).
    steps: of the sampler, 1 to 1000; 28 to 75 for Zero123++, 50 for SV3D. spacing: which of the teacher's levels it visits:
    "trailing" from the top in equal steps, as diffusers names it (Zero123++), or "even" from the top to the bottom
    (SV3D). eta: share of fresh noise in each step, 0 to 1: 1 is Euler ancestral (Zero123++), 0 Euler (SV3D). refresh: after
    so many steps of the run the pictures are drawn anew; 0 never.
    azimuth_deg, elevation_deg: where a teacher without views of its own shall draw from: azimuths from the first picture's,
    one elevation or one for each, degrees up from the horizon; at the first picture's distance and field of view.
    mask: before a plain background the object alone is compared, over the run's background, and the opacity with its
    silhouette, at mask_weight, 0 to 1000.
    """

    guidance_scale: Any = 4.0
    view_scale: str = "same"
    steps: int = 36
    spacing: str = "trailing"
    eta: float = 1.0
    refresh: int = 0
    azimuth_deg: list[float] = field(default_factory=list)
    elevation_deg: list[float] = field(default_factory=lambda: [0.0])
    mask: bool = True
    mask_weight: float = 1.0

    def __post_init__(self) -> None:
        self.guidance_scale = scale_schedule(self.guidance_scale)
        for name, known in (("view_scale", VIEW_SCALES), ("spacing", SPACINGS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: {getattr(self, name)!r}; one of {', '.join(known)}")
        for name, low, high in (("steps", 1, 1000), ("eta", 0, 1), ("refresh", 0, 10**6), ("mask_weight", 0, 1000)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")
        if any(not -360 <= angle <= 360 for angle in self.azimuth_deg) or len(self.azimuth_deg) > 256:
            raise ValueError(f"azimuth_deg: {self.azimuth_deg}; at most 256 angles, -360 to 360 degrees")
        if any(not -89 <= angle <= 89 for angle in self.elevation_deg):
            raise ValueError(f"elevation_deg: {self.elevation_deg}; -89 to 89 degrees")
        if len(self.elevation_deg) not in (1, max(len(self.azimuth_deg), 1)):
            raise ValueError(f"elevation_deg: {len(self.elevation_deg)} angles; one, or one for each of azimuth_deg")

    def timesteps(self, count: int) -> list[int]:
        """The sampler's, descending, of a teacher's `count`."""
        steps = min(self.steps, count)
        if self.spacing == "trailing":
            return [round(count - k * count / steps) - 1 for k in range(steps)]
        return [round((count - 1) * (1 - k / max(steps - 1, 1))) for k in range(steps)]

    def scales(self, views: int, scale: float) -> list[float]:
        """The guidance scale of each view."""
        if self.view_scale == "same" or views < 3:
            return [scale] * views
        return [1 + (scale - 1) * (1 - abs(2 * view / (views - 1) - 1)) for view in range(views)]
