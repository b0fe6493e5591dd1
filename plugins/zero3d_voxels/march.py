"""What a fused march needs besides the grids, for any device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class March:
    """R rays and the rules for drawing them.

    origins, directions (R, 3). spans (R, 2): distance to the box and the chord through it. starts (R,): by how much the
    first sample lies behind the box's face. `box`: its low corner (x, y, z), voxels a world unit, voxels; nine numbers.
    `step`: between samples, world units; `samples`: S, at most so many a ray. `thickness`: a sample's optical depth where
    softplus is 1. `empty_below`: the raw density below which space is empty; a scalar, on the field's device. `least_light`:
    a ray ends when less is left. `picture`: views, height, width, together R. `wants_weights`: each sample's weight is
    returned.
    """

    origins: Tensor
    directions: Tensor
    spans: Tensor
    starts: Tensor
    box: tuple[float, ...]
    step: float
    samples: int
    thickness: float
    density_shift: float
    sigmoid: bool
    weight_threshold: float
    least_light: float
    empty_below: Tensor
    picture: tuple[int, int, int]
    wants_weights: bool

    def distances(self) -> Tensor:
        """Where the samples lie along their rays, (R, S), world units; those behind the box hold nothing."""
        places = self.step * torch.arange(self.samples, dtype=self.starts.dtype, device=self.starts.device)
        return (self.spans[:, 0] + self.starts)[:, None] + places
