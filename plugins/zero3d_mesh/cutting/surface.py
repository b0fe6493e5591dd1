"""From a density grid to a clean, closed, outward-oriented surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
import scipy

from zero3d_mesh.cutting.grid import DensityGrid

CLEARANCE = 1e-3
"""No sample stays nearer to the level than this share of it, so that no face shrinks to a point and every edge has two."""


@dataclass(frozen=True)
class Cleaned:
    """A trimesh.Trimesh, and how many components were kept and dropped."""

    mesh: Any
    kept: int
    dropped: int


def extract(
    grid: DensityGrid, threshold: float, smallest_share: float, smoothing: int = 0, ceiling: float = 2.0
) -> Cleaned | None:
    """Marching Cubes at density `threshold`, without floaters and inner cavities; None where nothing is that dense.

    Densities count up to `ceiling` times the threshold: at 2, the surface lies midway across a hard edge however dense
    the inside is; then they are averaged over 2 * `smoothing` + 1 samples a side. A solid's inside is whatever the outside
    cannot reach, so closed cavities are filled. A floater is a piece whose volume is below `smallest_share` of the
    largest one's.
    """
    level = numpy.minimum(grid.values / threshold, ceiling).astype(numpy.float64)
    if smoothing:
        level[1:-1, 1:-1, 1:-1] = scipy.ndimage.uniform_filter(level, 2 * smoothing + 1, mode="constant")[
            1:-1, 1:-1, 1:-1
        ]
    solid = level >= 1
    pieces, count = scipy.ndimage.label(scipy.ndimage.binary_fill_holes(solid))
    if count == 0:
        return None
    sizes = numpy.bincount(pieces.ravel(), minlength=count + 1)[1:]
    wanted = numpy.concatenate([[False], sizes >= smallest_share * sizes.max()])[pieces]
    level = numpy.where(solid, numpy.maximum(level, 1 + CLEARANCE), numpy.minimum(level, 1 - CLEARANCE))
    level[solid & ~wanted] = 0  # a dropped piece
    level[wanted & ~solid] = 2  # a cavity
    kept = int((sizes >= smallest_share * sizes.max()).sum())
    return Cleaned(_march(level, grid), kept, count - kept)


def _march(level: numpy.ndarray, grid: DensityGrid) -> Any:
    import trimesh
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(level, 1.0, gradient_direction="ascent")
    return trimesh.Trimesh(vertices * grid.spacing + grid.origin, faces, process=False)
