"""From a density grid to a clean, closed, outward-oriented surface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
from scipy import ndimage

from zero3d_mesh.grid import DensityGrid


@dataclass(frozen=True)
class Cleaned:
    """A trimesh.Trimesh, and how many components were kept and dropped."""

    mesh: Any
    kept: int
    dropped: int


def extract(grid: DensityGrid, threshold: float, smallest_share: float) -> Cleaned | None:
    """Marching Cubes at density `threshold`, without floaters and inner cavities; None where nothing is that dense.

    A solid's inside is whatever the outside cannot reach, so that closed cavities are filled. A floater is a piece whose
    volume is below `smallest_share` of the largest one's.
    """
    solid = grid.values >= threshold
    pieces, count = ndimage.label(ndimage.binary_fill_holes(solid))
    if count == 0:
        return None
    sizes = ndimage.sum_labels(pieces > 0, pieces, numpy.arange(1, count + 1))
    kept = 1 + numpy.flatnonzero(sizes >= smallest_share * sizes.max())
    wanted = numpy.isin(pieces, kept)
    # the level set is interpolated in opacity, which is bounded where density is not; dropped pieces get level 0, cavities 1
    opacity = 1 - numpy.exp(-grid.values.astype(numpy.float64) * grid.spacing)
    level = 1 - numpy.exp(-threshold * grid.spacing)
    near = ndimage.binary_dilation(wanted, iterations=1)
    opacity = numpy.where(near & ~(solid & ~wanted), opacity, 0.0)
    opacity = numpy.where(wanted & ~solid, 1.0, opacity)
    return Cleaned(_march(opacity, level, grid), len(kept), count - len(kept))


def _march(values: numpy.ndarray, level: float, grid: DensityGrid) -> Any:
    import trimesh
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(values, level, gradient_direction="ascent", allow_degenerate=False)
    mesh = trimesh.Trimesh(vertices * grid.spacing + grid.origin, faces, process=False)
    mesh.merge_vertices(digits_vertex=9)
    mesh.update_faces(mesh.nondegenerate_faces(height=1e-12))
    mesh.remove_unreferenced_vertices()
    return mesh
