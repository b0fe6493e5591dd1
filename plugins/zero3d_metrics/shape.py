"""Distances between two surfaces, on random points of them, and between two solids, on cell centres.

Every figure that rests on random points has a floor: what two independent samples of one surface give. 2,000 points, the
paper's number, put it at a fiftieth of the object; a figure near its floor says nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from zero3d.mesh_files import normalise
from zero3d.mesh_placing import Nearest, nearest

POINTS = 2000
"""The paper's (Zero-1-to-3, section 4)."""

MORE_POINTS = 20_000
"""With a floor of a third of that."""

VOXELS = 64
THRESHOLDS = (0.01, 0.02, 0.05, 0.1)
"""Of F-scores, as shares of the object's longest side."""

CHAMFERS = {
    "half": "half the sum of both mean distances, not squared (SyncDreamer, EscherNet, SV3D, ZeroShape)",
    "sum": "the sum of both mean distances, not squared",
    "squared_sum": "the sum of both mean squared distances (PyTorch3D's default, most papers on point clouds)",
    "squared_half": "half the sum of both mean squared distances",
    "l1": "the sum of both mean distances by Manhattan's norm (PyTorch3D, norm=1)",
}
"""What is called Chamfer distance. "L1" in a paper usually means `half` or `sum`."""

GRIDS = {
    "unit": "the cell centres of the unit cube",
    "side2": "the cell centres of the cube [-1, 1]^3",
    "mesh2sdf": "mesh2sdf's grid, the lower corners of the cells of [-1, 1]^3 (SyncDreamer, EscherNet, SV3D)",
}
"""Where solids are compared. On mesh2sdf's, faces that fall on corners lose a layer, as they do there."""

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


def chamfer_of(pairs: Nearest, variant: str = "half") -> float:
    """One of the quantities that are called Chamfer distance; see `CHAMFERS`. For "l1", of pairs by Manhattan's distance."""
    if variant.startswith("squared"):
        whole = float((pairs.there**2).mean() + (pairs.back**2).mean())
        return whole if variant == "squared_sum" else whole / 2
    return pairs.chamfer if variant == "half" else 2 * pairs.chamfer


def fscores(pairs: Nearest, thresholds: Sequence[float], squared: bool = False) -> dict[str, float]:
    """fscore@T, precision@T (share of the first set nearer than T to the second) and recall@T (the reverse).

    fscore is the harmonic mean of the two, 0 where both are. squared: T is held against squared distances, a slip of several
    published codes; the names say so: fscore_of_squared@T.
    """
    there, back = (pairs.there**2, pairs.back**2) if squared else (pairs.there, pairs.back)
    of, figures = "_of_squared" if squared else "", {}
    for limit in thresholds:
        precision, recall = float((there < limit).mean()), float((back < limit).mean())
        figures[f"fscore{of}@{limit:g}"] = 2 * precision * recall / max(precision + recall, 1e-12)
        figures[f"precision{of}@{limit:g}"], figures[f"recall{of}@{limit:g}"] = precision, recall
    return figures


def normal_consistency(pairs: Nearest, a: Sample, b: Sample, signed: bool = False) -> float:
    """Mean cosine of the normals of nearest pairs, both ways, halved; |cosine| unless `signed` (Occupancy Networks)."""
    ways = ((a.normals, b.normals[pairs.there_index]), (b.normals, a.normals[pairs.back_index]))
    cosines = [(one * other).sum(axis=1) for one, other in ways]
    return float(numpy.mean([(cosine if signed else abs(cosine)).mean() for cosine in cosines]))


def compare(a: Sample, b: Sample, thresholds: tuple[float, ...] = THRESHOLDS) -> dict[str, float]:
    """What the nearest neighbours of two samples say; `b` is the truth. Distances are Euclidean, never squared.

    chamfer: half the sum of the two mean distances. fscore@T, precision@T, recall@T: see `fscores`. normal_consistency: see
    there, without signs.
    """
    pairs = nearest(a.points, b.points)
    figures = {"chamfer": chamfer_of(pairs)} | fscores(pairs, thresholds)
    return figures | {"normal_consistency": normal_consistency(pairs, a, b)}


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


def volume_iou(mesh: Any, truth: Any, voxels: int = VOXELS, normalised: str = "both", grid: str = "unit") -> float:
    """Intersection over union of the solids on voxels^3 points of one of `GRIDS`; 0 of two empty solids."""
    one, other = (inside(m, voxels, grid) for m in framed(mesh, truth, normalised))
    either = (one | other).sum()
    return float((one & other).sum() / either) if either else 0.0


def inside(mesh: Any, voxels: int = VOXELS, grid: str = "unit") -> numpy.ndarray:
    """About which of the points of a grid the surface winds, either way, (voxels^3,) bool.

    Robust against small holes, overlaps and inverted faces.
    """
    import igl

    steps = numpy.arange(voxels) / voxels
    axis = {"unit": steps + 0.5 / voxels - 0.5, "side2": 2 * steps + 1 / voxels - 1, "mesh2sdf": 2 * steps - 1}[grid]
    points = numpy.stack(numpy.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    vertices = numpy.ascontiguousarray(mesh.vertices, dtype=numpy.float64)
    winding = igl.fast_winding_number(vertices, numpy.ascontiguousarray(mesh.faces, dtype=numpy.int64), points)
    # a point on a face has winding 1/2 and, in mesh2sdf, the signed distance 0, which is not inside
    return numpy.asarray(abs(winding) > (0.51 if grid == "mesh2sdf" else 0.5))
