"""A field's density on a regular grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import torch

from zero3d.interfaces import RadianceField

CHUNK = 2**20


@dataclass(frozen=True)
class DensityGrid:
    """`values` (X, Y, Z) >= 0 with a border of zeros; sample (i, j, k) lies at origin + spacing * (i, j, k)."""

    values: numpy.ndarray
    origin: numpy.ndarray
    spacing: float

    @property
    def inner(self) -> numpy.ndarray:
        """Without the border."""
        return self.values[1:-1, 1:-1, 1:-1]


def sample_density(field: RadianceField, resolution: int) -> DensityGrid:
    """Density at cell centres, `resolution` along the box's longest side; the border closes every surface."""
    low, high = field.box.detach().cpu().double()
    spacing = float((high - low).max()) / resolution
    counts = [max(2, round(float(side) / spacing)) for side in (high - low)]
    axes = [
        float(start) + (torch.arange(count, dtype=torch.float64) + 0.5) * spacing
        for start, count in zip(low, counts, strict=True)
    ]
    values = numpy.zeros([count + 2 for count in counts], numpy.float32)
    rows = max(1, CHUNK // (counts[1] * counts[2]))
    with torch.no_grad():
        for start in range(0, counts[0], rows):
            points = torch.stack(torch.meshgrid(axes[0][start : start + rows], *axes[1:], indexing="ij"), dim=-1)
            density = field.density(points.reshape(-1, 3).float().to(field.box.device))
            values[1 + start : 1 + start + len(points), 1:-1, 1:-1] = density.reshape(points.shape[:3]).cpu().numpy()
    origin = numpy.array([float(axis[0]) - spacing for axis in axes])
    return DensityGrid(values, origin, spacing)
