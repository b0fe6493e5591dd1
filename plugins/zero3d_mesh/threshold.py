"""Which density is the surface: found from the field, or by the paper's rule."""

from __future__ import annotations

import numpy
import torch
from scipy import ndimage

from zero3d.geometry import orbit
from zero3d.interfaces import ExportSubject
from zero3d.mesh_views import MeshScene
from zero3d_mesh.grid import DensityGrid
from zero3d_mesh.surface import extract

CANDIDATES = 16
VIEWS = ((15.0, 0.0), (-20.0, 60.0), (30.0, 120.0), (0.0, 180.0), (50.0, 240.0), (15.0, 300.0))
"""Elevation and azimuth, degrees, from which silhouettes are compared."""


def by_silhouette(grid: DensityGrid, subject: ExportSubject, smallest_share: float) -> float | None:
    """The density whose surface casts the field's own silhouettes best (mean IoU over VIEWS), or None if none does.

    The silhouette is where rendered opacity passes one half; candidates span the field's range geometrically.
    """
    top = float(grid.values.max())
    if top <= 0:
        return None
    elevation, azimuth = torch.tensor(VIEWS).T
    cameras = orbit(elevation, azimuth, max(64, subject.resolution))
    views = [subject.draw(cameras[i : i + 1]).opacity[0, ..., 0].cpu() for i in range(len(cameras))]
    wanted = torch.stack(views).numpy() > 0.5
    best, best_score = None, 0.0
    for threshold in numpy.geomspace(max(1e-3 * top, 0.5), 0.9 * top, CANDIDATES):
        surface = extract(grid, float(threshold), smallest_share)
        if surface is None or len(surface.mesh.faces) == 0:
            continue
        cast = MeshScene(surface.mesh).draw(cameras, supersample=1).opacity[..., 0].numpy() > 0.5
        together = (cast | wanted).sum()
        score = float((cast & wanted).sum() / together) if together else 0.0
        if score > best_score:
            best, best_score = float(threshold), score
    return best


def paper_grid(grid: DensityGrid) -> tuple[DensityGrid, float]:
    """3drec's rule: mean filter 7^3, threshold 8 times the mean of that, then grey erosion 5^3."""
    smooth = ndimage.uniform_filter(grid.values, 7, mode="constant")
    threshold = 8 * float(smooth[1:-1, 1:-1, 1:-1].mean())
    return DensityGrid(ndimage.grey_erosion(smooth, size=(5, 5, 5)), grid.origin, grid.spacing), threshold
