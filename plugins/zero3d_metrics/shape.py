"""Chamfer distance and volume IoU of two meshes, each first normalised into the unit cube."""

from __future__ import annotations

from typing import Any

import numpy

from zero3d.mesh_files import normalise

POINTS = 2000
VOXELS = 64


def chamfer(mesh: Any, truth: Any, points: int = POINTS, seed: int = 0) -> float:
    """Mean of the two mean distances (not squared) between `points` random surface points of each.

    Both trimesh.Trimesh are normalised: bounding box centred, longest side 1 (Zero-1-to-3, section 4: 2,000 points).
    """
    import trimesh
    from scipy.spatial import cKDTree

    clouds = [
        trimesh.sample.sample_surface(normalise(m), points, seed=seed + k)[0] for k, m in enumerate((mesh, truth))
    ]
    there = cKDTree(clouds[1]).query(clouds[0])[0].mean()
    back = cKDTree(clouds[0]).query(clouds[1])[0].mean()
    return float((there + back) / 2)


def volume_iou(mesh: Any, truth: Any, voxels: int = VOXELS) -> float:
    """Intersection over union of the solids on voxels^3 cell centres of the unit cube, both normalised as for chamfer."""
    inside = [_inside(normalise(m), voxels) for m in (mesh, truth)]
    either = (inside[0] | inside[1]).sum()
    return float((inside[0] & inside[1]).sum() / either) if either else 0.0


def _inside(mesh: Any, voxels: int) -> numpy.ndarray:
    """Cell centres with a winding number above one half: robust against small holes and overlapping parts."""
    import igl

    axis = (numpy.arange(voxels) + 0.5) / voxels - 0.5
    centres = numpy.stack(numpy.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    vertices = numpy.ascontiguousarray(mesh.vertices, dtype=numpy.float64)
    return igl.fast_winding_number(vertices, numpy.ascontiguousarray(mesh.faces, dtype=numpy.int64), centres) > 0.5
