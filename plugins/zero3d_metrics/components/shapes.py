"""Metrics of surfaces and solids. Meshes come placed as the protocol says (zero3d.mesh_placing); none is moved here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy

from zero3d import UserError
from zero3d.interfaces import ShapeMetric
from zero3d.mesh_placing import corners, nearest
from zero3d_metrics.components.options import one_of
from zero3d_metrics.shape import (
    CHAMFERS,
    GRIDS,
    MORE_POINTS,
    POINTS,
    THRESHOLDS,
    VOXELS,
    Sample,
    chamfer_of,
    fscores,
    normal_consistency,
    sample,
    volume_iou,
)

FURTHEST = 1e4
"""Of thresholds; normalised shapes are 1 long."""
SAMPLES = ("random", "vertices", "visible")
FEWEST, MOST = 100, 5_000_000


def _points(points: int) -> None:
    if not FEWEST <= points <= MOST:
        raise ValueError(f"points: {points}; {FEWEST:,} to {MOST:,}")


def _samples(mesh: Any, truth: Any, points: int, seed: int) -> tuple[Sample, Sample]:
    """Random points of each, never the same ones."""
    return sample(mesh, points, 2 * seed), sample(truth, points, 2 * seed + 1)


@dataclass
class ChamferConfig:
    """Options of `chamfer`. points: random ones on each surface, 100 to 5,000,000; the paper's are 2,000.

    variant: half (of the sum of both mean distances), sum, squared_sum, squared_half or l1. sample: what is compared: random
    (points, uniform by area), vertices (EscherNet, SV3D: a finer mesh of the same shape scores differently), or visible
    (SyncDreamer: what 16 views from 30 degrees above see, meshes of about unit size).
    """

    points: int = POINTS
    variant: str = "half"
    sample: str = "random"

    def __post_init__(self) -> None:
        _points(self.points)
        one_of("variant", self.variant, CHAMFERS)
        one_of("sample", self.sample, SAMPLES)


class Chamfer(ShapeMetric):
    """Chamfer distance between two surfaces, in each of the forms that papers mean by it.

    Its figure is `chamfer`, followed by what is not the default: chamfer_20000, chamfer_vertices, chamfer_squared_sum.
    """

    name: ClassVar[str] = "chamfer"
    Config: ClassVar[type[Any]] = ChamferConfig
    better: Literal["less", "more"] = "less"

    def shape(self, mesh: Any, truth: Any, seed: int = 0) -> Mapping[str, float]:
        """Raises UserError where none of SyncDreamer's views sees a mesh."""
        a, b = self._of(mesh, 2 * seed), self._of(truth, 2 * seed + 1)
        return {self._figure(): chamfer_of(nearest(a, b, 1 if self.config.variant == "l1" else 2), self.config.variant)}

    def _of(self, mesh: Any, seed: int) -> numpy.ndarray:
        if self.config.sample == "vertices":
            return corners(mesh)
        if self.config.sample == "random":
            return sample(mesh, self.config.points, seed).points
        from zero3d_metrics.visible import visible_points

        seen = visible_points(mesh)
        if not len(seen):
            raise UserError(
                "chamfer: sample: visible: no view sees the mesh; it must lie about the origin, in unit size"
            )
        return seen

    def _figure(self) -> str:
        how = self.config
        which = how.sample if how.sample != "random" else str(how.points) if how.points != POINTS else ""
        return "_".join(part for part in ("chamfer", which, how.variant if how.variant != "half" else "") if part)


@dataclass
class FScoreConfig:
    """Options of `fscore`. thresholds: distances in the meshes' own units, above 0.

    points: random ones on each surface, 100 to 5,000,000. squared: hold thresholds against squared distances, as several
    published codes do by a slip.
    """

    thresholds: list[float] = field(default_factory=lambda: list(THRESHOLDS))
    points: int = MORE_POINTS
    squared: bool = False

    def __post_init__(self) -> None:
        _points(self.points)
        if not self.thresholds or not all(0 < threshold <= FURTHEST for threshold in self.thresholds):
            raise ValueError(
                f"thresholds: {list(self.thresholds)}; numbers above 0, at most {FURTHEST:g}, such as [0.01, 0.05]"
            )


class FScore(ShapeMetric):
    """F-scores, with precision and recall: which share of each surface is near to the other.

    Figures fscore@T, precision@T, recall@T; with `squared`, fscore_of_squared@T.
    """

    name: ClassVar[str] = "fscore"
    Config: ClassVar[type[Any]] = FScoreConfig
    better: Literal["less", "more"] = "more"

    def shape(self, mesh: Any, truth: Any, seed: int = 0) -> Mapping[str, float]:
        a, b = _samples(mesh, truth, self.config.points, seed)
        return fscores(nearest(a.points, b.points), self.config.thresholds, self.config.squared)


@dataclass
class NormalConsistencyConfig:
    """Options of `normal_consistency`. points: random ones on each surface, 100 to 5,000,000.

    signed: keep the cosine's sign, so that inverted faces cost.
    """

    points: int = MORE_POINTS
    signed: bool = False

    def __post_init__(self) -> None:
        _points(self.points)


class NormalConsistency(ShapeMetric):
    """How well normals of nearest points agree, both ways: 1 where they all do (Occupancy Networks).

    Its figure is normal_consistency, or normal_consistency_signed.
    """

    name: ClassVar[str] = "normal_consistency"
    Config: ClassVar[type[Any]] = NormalConsistencyConfig
    better: Literal["less", "more"] = "more"

    def shape(self, mesh: Any, truth: Any, seed: int = 0) -> Mapping[str, float]:
        a, b = _samples(mesh, truth, self.config.points, seed)
        figure = "normal_consistency_signed" if self.config.signed else "normal_consistency"
        return {figure: normal_consistency(nearest(a.points, b.points), a, b, self.config.signed)}


@dataclass
class VolumeIouConfig:
    """Options of `iou`. voxels: cells a side, 8 to 512.

    grid: unit (the centres of the unit cube's cells: what lies outside is not seen), side2 (of [-1, 1]^3), or mesh2sdf (its
    grid on [-1, 1]^3: SyncDreamer, EscherNet, SV3D, with voxels 64).
    """

    voxels: int = VOXELS
    grid: str = "unit"

    def __post_init__(self) -> None:
        if not 8 <= self.voxels <= 512:
            raise ValueError(f"voxels: {self.voxels}; 8 to 512")
        one_of("grid", self.grid, GRIDS)


class VolumeIou(ShapeMetric):
    """Intersection over union of two solids, by winding numbers: small holes and inverted faces do not count.

    Its figure is iou, or iou_side2, iou_mesh2sdf. On closed meshes the latter is mesh2sdf's to a cell or two.
    """

    name: ClassVar[str] = "iou"
    Config: ClassVar[type[Any]] = VolumeIouConfig
    better: Literal["less", "more"] = "more"

    def shape(self, mesh: Any, truth: Any, seed: int = 0) -> Mapping[str, float]:
        figure = "iou" if self.config.grid == "unit" else f"iou_{self.config.grid}"
        return {figure: volume_iou(mesh, truth, self.config.voxels, "none", self.config.grid)}
