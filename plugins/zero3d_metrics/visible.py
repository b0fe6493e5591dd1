"""The surface that SyncDreamer's 16 views see, as points: its Chamfer distance is between these."""

from __future__ import annotations

import math
from typing import Any

import numpy
import torch

from zero3d.geometry import orbit
from zero3d.mesh_views import MeshScene

VIEWS = 16
ELEVATION_DEG, DISTANCE = 30.0, 1.5
SIZE, FOCAL = 256, 280.0
"""Pixels of a view and of its focal length (meta_info/camera-16.pkl)."""
VOXEL = 0.01


def visible_points(mesh: Any, voxel: float = VOXEL) -> numpy.ndarray:
    """(N, 3): what 16 depth maps from 30 degrees above see of a mesh of about unit size, one mean point a voxel.

    Undersides are never seen. As eval_mesh.py does it: 256 pixels, unprojected at whole pixels although the rays go through
    their centres, thinned on a grid of `voxel` that begins half a voxel below the least coordinates (Open3D's
    voxel_down_sample). Drawn by ray casting, where the original rasterises. No row where nothing is seen.
    """
    azimuths = torch.arange(VIEWS) * (360 / VIEWS)
    cameras = orbit(ELEVATION_DEG, azimuths, SIZE, DISTANCE, 2 * math.atan(SIZE / 2 / FOCAL))
    scene = MeshScene(mesh)
    return thinned(numpy.concatenate([_unprojected(scene, cameras[i : i + 1]) for i in range(VIEWS)]), voxel)


def _unprojected(scene: MeshScene, camera: Any) -> numpy.ndarray:
    """The points (N, 3) of one depth map."""
    view = scene.draw(camera, supersample=1, light=None)
    assert view.depth is not None
    hit = view.opacity[0, ..., 0].numpy() > 0.5
    rows, columns = numpy.nonzero(hit)
    through = numpy.stack([columns - SIZE / 2, rows - SIZE / 2, numpy.full(len(rows), FOCAL)], axis=1) / FOCAL
    along = view.depth[0, ..., 0].numpy()[hit].astype(float)
    centres = through + (0.5 / FOCAL, 0.5 / FOCAL, 0)
    depth = along / numpy.linalg.norm(centres, axis=1)
    pose = camera.camera_to_world[0].double().numpy()
    points: numpy.ndarray = (through * depth[:, None] * (1, -1, -1)) @ pose[:3, :3].T + pose[:3, 3]
    return points


def thinned(points: numpy.ndarray, voxel: float) -> numpy.ndarray:
    """The mean of the points of each voxel."""
    if not len(points):
        return points
    cells = numpy.floor((points - (points.min(axis=0) - voxel / 2)) / voxel).astype(numpy.int64)
    _, cell, count = numpy.unique(cells, axis=0, return_inverse=True, return_counts=True)
    cell = cell.reshape(-1)
    sums = [numpy.bincount(cell, weights=points[:, axis]) for axis in range(3)]
    return numpy.stack(sums, axis=1) / count[:, None]
