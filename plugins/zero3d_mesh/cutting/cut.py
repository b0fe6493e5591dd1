"""Which surface a representation has: its own, or one cut from a density grid; and no more faces than asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy
import psutil

from zero3d import ExportError, UserError
from zero3d.geometry import check_surface
from zero3d.interfaces import ExportSubject, RadianceField, Representation, SurfaceRepresentation
from zero3d_mesh.cutting.advice import another_threshold, no_threshold
from zero3d_mesh.cutting.decimate import decimated
from zero3d_mesh.cutting.fairing import smoothed
from zero3d_mesh.cutting.grid import DensityGrid, sample_density
from zero3d_mesh.cutting.hull import within_masks
from zero3d_mesh.cutting.surface import extract
from zero3d_mesh.cutting.threshold import PAPER_MULTIPLE, by_silhouette, paper_grid
from zero3d_mesh.patience import COLLAPSING, CUTTING, announce

FEWEST = 100
"""Faces that a budget may ask for: fewer hold no shape."""


class SurfaceSource(Representation):
    """What a surface can be had of: a RadianceField, or a SurfaceRepresentation, which is taken as it is."""


SurfaceSource.register(RadianceField)  # type: ignore[type-abstract]
SurfaceSource.register(SurfaceRepresentation)  # type: ignore[type-abstract]


DENSEST = 1e9
"""The highest density, per world unit, that a surface may be cut at."""


@dataclass
class SurfaceConfig:
    """What all exporters of a surface take. Of a representation that is a mesh, only `faces` matters.

    resolution: samples along the box's longest side. threshold: a density per world unit; "auto" takes that of the
    field's surface, if it knows it, or the one whose surface casts the field's own silhouettes; "paper" is 3drec's rule
    (mean filter 7^3, `paper_multiple` times the mean, grey erosion 5^3; there at twice the field's resolution).
    paper_multiple: 8 in the paper on Google Scanned Objects, 4 on RTMV. smallest_share: pieces below this share of the
    largest one's volume are dropped. smoothing: the density is averaged over 2 * smoothing + 1 samples a side, 0 to 8,
    before the surface is cut, which breaks thin parts. taubin: passes of Taubin's smoothing (1995) over the cut surface, 0
    to 200: bumps go, volume and thin parts stay. faces: at most so many, by quadric-error edge collapses that keep it
    closed; 0 for as they come. hull: where threshold is "auto", the surface ends where the pictures' masks do.
    """

    resolution: int = 128
    threshold: Any = "auto"
    smallest_share: float = 0.02
    smoothing: int = 0
    paper_multiple: float = PAPER_MULTIPLE
    faces: int = 0
    taubin: int = 0
    hull: bool = True

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= 1024:
            raise ValueError(f"resolution: {self.resolution}; 8 to 1024 samples")
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if self.threshold not in ("auto", "paper") and not (number and 0 < self.threshold <= DENSEST):
            raise ValueError(f"threshold: {self.threshold!r}; a density above 0, at most {DENSEST:g}, auto or paper")
        if not 0 <= self.smallest_share <= 1:
            raise ValueError(f"smallest_share: {self.smallest_share}; 0 to 1")
        if not 0 <= self.smoothing <= 8:
            raise ValueError(f"smoothing: {self.smoothing}; 0 to 8 samples")
        if not 0 < self.paper_multiple <= 1e6:
            raise ValueError(f"paper_multiple: {self.paper_multiple}; above 0, at most 1e6 times the mean density")
        if not 0 <= self.taubin <= 200:
            raise ValueError(f"taubin: {self.taubin}; 0 to 200 passes")
        if self.faces and self.faces < FEWEST:
            raise ValueError(f"faces: {self.faces}; 0 for all of them, or at least {FEWEST}")


def cut_surface(subject: ExportSubject, config: SurfaceConfig) -> tuple[Any, dict[str, Any]]:
    """The surface (a trimesh.Trimesh in world axes; a field's is closed), and figures about it.

    Raises:
        ExportError: no memory for the grid, or no surface in the field.
    """
    source = subject.representation
    figures: dict[str, Any]
    if isinstance(source, SurfaceRepresentation):
        mesh, figures = _own(source), {}
    else:
        assert isinstance(source, RadianceField)
        mesh, figures = _cut(source, subject, config)
        mesh = smoothed(mesh, config.taubin)
    if 0 < config.faces < len(mesh.faces):
        announce(
            subject.tell, f"collapsing {len(mesh.faces):,} faces to {config.faces:,}", COLLAPSING * len(mesh.faces)
        )
    mesh = decimated(mesh, config.faces)
    counts = {"vertices": len(mesh.vertices), "faces": len(mesh.faces), "watertight": bool(mesh.is_watertight)}
    return mesh, counts | {"volume": round(float(mesh.volume), 5)} | figures


def _own(source: SurfaceRepresentation) -> Any:
    import trimesh

    vertices, faces, _ = (part.detach().cpu() for part in source.surface())
    try:
        check_surface(vertices, faces, "no surface")
    except UserError as error:
        raise ExportError(str(error)) from None
    return trimesh.Trimesh(vertices.numpy(), faces.numpy(), process=False)


def _cut(field: RadianceField, subject: ExportSubject, config: SurfaceConfig) -> tuple[Any, dict[str, Any]]:
    _check_memory(config.resolution)
    announce(subject.tell, f"cutting the surface from {config.resolution}^3 samples", CUTTING * config.resolution**3)
    grid = sample_density(field, config.resolution)
    span = _span(grid)
    sampled = grid
    grid, threshold = _threshold(grid, subject, config)
    if not threshold:
        advice = no_threshold(sampled, subject, config.smallest_share)
        raise ExportError(f"no surface: no density casts the field's silhouette; {span}; {advice}")
    if config.hull and config.threshold == "auto":
        grid = within_masks(grid, threshold, subject)
    ceiling = math.inf if config.threshold == "paper" else 2.0  # its filters have softened every edge
    surface = extract(grid, threshold, config.smallest_share, config.smoothing, ceiling)
    if surface is None or len(surface.mesh.faces) == 0:
        advice = another_threshold(sampled, subject, config.smallest_share)
        raise ExportError(f"no surface: nothing reaches {threshold:.4g}; {span}; {advice}")
    if _cut_flat(surface.mesh, grid):
        subject.tell("note: the object reaches the sides of representation.box, where its mesh is cut flat")
    return surface.mesh, {
        "components": surface.kept,
        "dropped": surface.dropped,
        "threshold": round(float(threshold), 4),
        "density_min": round(float(grid.inner.min()), 3),
        "density_max": round(float(grid.values.max()), 3),
    }


def _threshold(grid: DensityGrid, subject: ExportSubject, config: SurfaceConfig) -> tuple[DensityGrid, float | None]:
    if config.threshold == "paper":
        return paper_grid(grid, config.paper_multiple)
    if config.threshold == "auto":
        known = getattr(subject.representation, "surface_density", None)
        return grid, known or by_silhouette(grid, subject, config.smallest_share)
    return grid, float(config.threshold)


def _check_memory(resolution: int) -> None:
    needed, free = 60 * resolution**3, psutil.virtual_memory().available
    if needed > free:
        raise ExportError(
            f"resolution {resolution} needs about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; lower it"
        )


def _span(grid: DensityGrid) -> str:
    """The field's densities in words; raises ExportError where none of them can be a surface."""
    inner = grid.inner
    if not numpy.isfinite(inner).all():
        raise ExportError("no surface: some densities are not finite; the run diverged, lower optimizer.lr")
    low, middle, high = (float(v) for v in (inner.min(), numpy.median(inner), inner.max()))
    if high - low <= 1e-6 * high:
        raise ExportError(
            f"no surface: the density is {high:.4g} everywhere (min, median and max): no threshold cuts it"
        )
    return f"density runs from {low:.4g} (median {middle:.4g}) to {high:.4g}"


def _cut_flat(mesh: Any, grid: DensityGrid) -> bool:
    """Whether the surface goes beyond the outermost samples, where only the grid's empty border ends it."""
    low = grid.origin + grid.spacing
    high = low + grid.spacing * (numpy.array(grid.inner.shape) - 1)
    return bool((mesh.bounds[0] < low).any() or (mesh.bounds[1] > high).any())
