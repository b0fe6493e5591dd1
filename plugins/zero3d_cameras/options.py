"""What the samplers share: their options."""

from __future__ import annotations

from dataclasses import dataclass

from zero3d.interfaces import CameraSampler


@dataclass
class SamplerConfig:
    """resolution: side of the views, pixels of the field's image space. views: novel views a step.

    near_offset: how far a near view's camera moves, world units (0.05 in Zero-1-to-3).
    """

    resolution: int = 64
    views: int = 1
    near_offset: float = 0.05

    def __post_init__(self) -> None:
        if not 2 <= self.resolution <= 4096:
            raise ValueError(f"resolution: {self.resolution}; 2 to 4096 pixels")
        if not 1 <= self.views <= 10_000:
            raise ValueError(f"views: {self.views}; 1 to 10000")
        if not 0 < self.near_offset <= 1:
            raise ValueError(f"near_offset: {self.near_offset}; above 0, at most 1 world unit")


class Sampler(CameraSampler):
    """A sampler with the options that all share."""

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__(config)
        self.resolution, self.views = config.resolution, config.views
        self.near_offset = config.near_offset
