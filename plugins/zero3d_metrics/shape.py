"""Distances between two surfaces, on random points of them, and between two solids, on cell centres.

Every figure that rests on random points has a floor: what two independent samples of one surface give. 2,000 points, the
paper's number, put it at a fiftieth of the object; a figure near its floor says nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from zero3d.mesh_files import normalise
from zero3d.mesh_placing import nearest

POINTS = 2000
"""The paper's (Zero-1-to-3, section 4)."""

MORE_POINTS = 20_000
"""With a floor of a third of that."""

VOXELS = 64
THRESHOLDS = (0.01, 0.02, 0.05, 0.1)
"""Of F-scores, as shares of the object's longest side."""

NORMALISED = ("both", "truth", "none")
"""Which of the two meshes is moved and scaled into the unit cube before they are compared."""


@dataclass(frozen=True)
class Sample:
    """Points on a surface (N, 3) and the normals there (N, 3), length 1."""

    points: numpy.ndarray
    normals: numpy.ndarray


def framed(mesh: Any, truth: Any, normalised: str = "both") -> tuple[Any, Any]:
    """Copies, each moved and scaled (bounding box centred, longest side 1) or not, as `normalised` says.

    truth: what is scored is taken as it is, so that place and size count (SyncDreamer).
    """
    return normalise(mesh) if normalised == "both" else mesh, truth if normalised == "none" else normalise(truth)


def sample(mesh: Any, points: int, seed: int) -> Sample:
    """`points` places on a trimesh.Trimesh, uniform by area."""
    import trimesh

    places, faces = trimesh.sample.sample_surface(mesh, points, seed=seed)
    return Sample(numpy.asarray(places), mesh.face_normals[faces])


def compare(a: Sample, b: Sample, thresholds: tuple[float, ...] = THRESHOLDS) -> dict[str, float]:
    """What the nearest neighbours of two samples say; `b` is the truth. Distances are Euclidean, never squared.

    chamfer: half the sum of the two mean distances (SyncDreamer, EscherNet, SV3D, ZeroShape).
    fscore@T: harmonic mean of precision@T (share of `a` nearer than T to `b`) and recall@T (the reverse).
    normal_consistency: mean |cosine| of the normals of nearest pairs, both ways, halved (Occupancy Networks).
    """
    pairs = nearest(a.points, b.points)
    there, back = pairs.there, pairs.back
    figures = {"chamfer": pairs.chamfer}
    for limit in thresholds:
        precision, recall = float((there < limit).mean()), float((back < limit).mean())
        figures[f"fscore@{limit:g}"] = 2 * precision * recall / max(precision + recall, 1e-12)
        figures[f"precision@{limit:g}"], figures[f"recall@{limit:g}"] = precision, recall
    ways = ((a.normals, b.normals[pairs.there_index]), (b.normals, a.normals[pairs.back_index]))
    figures["normal_consistency"] = float(numpy.mean([abs((n * m).sum(axis=1)).mean() for n, m in ways]))
    return figures


def surface_figures(
    mesh: Any, truth: Any, points: int, seed: int = 0, thresholds: tuple[float, ...] = THRESHOLDS
) -> tuple[dict[str, float], dict[str, float]]:
    """`compare`'s figures of two meshes as they lie, and their floors: the truth against another sample of itself."""
    true = sample(truth, points, seed + 1)
    scored, again = sample(mesh, points, seed), sample(truth, points, seed + 2)
    return compare(scored, true, thresholds), compare(again, true, thresholds)


def chamfer(mesh: Any, truth: Any, points: int = POINTS, seed: int = 0) -> float:
    """`compare`'s, between `points` random surface points of each.

    Both trimesh.Trimesh are normalised: bounding box centred, longest side 1.
    """
    a, b = (sample(m, points, seed + k) for k, m in enumerate(framed(mesh, truth)))
    return compare(a, b, ())["chamfer"]


def chamfers(mesh: Any, truth: Any) -> dict[str, float]:
    """What tables print: `chamfer` on the paper's 2,000 points and `chamfer_20000`, and the floor of each."""
    a, b = framed(mesh, truth)
    found: dict[str, float] = {}
    for points, name in ((POINTS, "chamfer"), (MORE_POINTS, f"chamfer_{MORE_POINTS}")):
        figures, floors = surface_figures(a, b, points, thresholds=())
        found |= {name: figures["chamfer"], f"{name}_floor": floors["chamfer"]}
    return found


def chamfers_line(figures: dict[str, float]) -> str:
    """`chamfers` in a table's cell."""
    cells = [f"{figures[name]:.4f} (floor {figures[f'{name}_floor']:.4f})" for name in ("chamfer", "chamfer_20000")]
    return f"CD {cells[0]}, at 20,000 points {cells[1]}"


def volume_iou(mesh: Any, truth: Any, voxels: int = VOXELS, normalised: str = "both") -> float:
    """Intersection over union of the solids on voxels^3 cell centres of the unit cube; 0 of two empty solids."""
    one, other = (inside(m, voxels) for m in framed(mesh, truth, normalised))
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else 0.0


def inside(mesh: Any, voxels: int = VOXELS) -> numpy.ndarray:
    """Which of voxels^3 cell centres of the unit cube the surface winds about, either way, (voxels^3,) bool.

    Robust against small holes, overlaps and inverted faces.
    """
    import igl

    axis = (numpy.arange(voxels) + 0.5) / voxels - 0.5
    centres = numpy.stack(numpy.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    vertices = numpy.ascontiguousarray(mesh.vertices, dtype=numpy.float64)
    winding = igl.fast_winding_number(vertices, numpy.ascontiguousarray(mesh.faces, dtype=numpy.int64), centres)
    return numpy.asarray(abs(winding) > 0.5)
