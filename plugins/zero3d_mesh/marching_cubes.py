"""The exporter: radiance field -> coloured, closed mesh."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy
import psutil

from zero3d import ExportError
from zero3d.interfaces import Exporter, ExportSubject, RadianceField, Representation
from zero3d.mesh_files import save_mesh
from zero3d_mesh.colour import from_field, from_views
from zero3d_mesh.grid import DensityGrid, sample_density
from zero3d_mesh.surface import extract
from zero3d_mesh.threshold import PAPER_MULTIPLE, by_silhouette, paper_grid

FORMATS = ("glb", "obj", "ply")


@dataclass
class MarchingCubesConfig:
    """Options of `marching_cubes`.

    resolution: samples along the box's longest side. threshold: a density per world unit; "auto" takes the one whose
    surface casts the field's own silhouettes; "paper" is 3drec's rule (mean filter 7^3, `paper_multiple` times the mean,
    grey erosion 5^3; there at twice the field's resolution). paper_multiple: 8 in the paper on Google Scanned Objects, 4
    on RTMV. format: glb, obj or ply. smallest_share: pieces below this share of the largest one's volume are dropped.
    smoothing: the density is averaged over 2 * smoothing + 1 samples a side, 0 to 8, before the surface is cut.
    """

    resolution: int = 128
    threshold: Any = "auto"
    format: str = "glb"
    smallest_share: float = 0.02
    smoothing: int = 0
    paper_multiple: float = PAPER_MULTIPLE

    def __post_init__(self) -> None:
        if not 8 <= self.resolution <= 1024:
            raise ValueError(f"resolution: {self.resolution}; 8 to 1024 samples")
        number = isinstance(self.threshold, (int, float)) and not isinstance(self.threshold, bool)
        if self.threshold not in ("auto", "paper") and not (number and self.threshold > 0):
            raise ValueError(f"threshold: {self.threshold!r}; a density above 0, auto or paper")
        if self.format not in FORMATS:
            raise ValueError(f"format: {self.format!r}; one of {', '.join(FORMATS)}")
        if not 0 <= self.smallest_share <= 1:
            raise ValueError(f"smallest_share: {self.smallest_share}; 0 to 1")
        if not 0 <= self.smoothing <= 8:
            raise ValueError(f"smoothing: {self.smoothing}; 0 to 8 samples")
        if self.paper_multiple <= 0:
            raise ValueError(f"paper_multiple: {self.paper_multiple}; above 0, times the mean density")


class MarchingCubes(Exporter):
    """The surface of a radiance field as a closed mesh with vertex colours (Marching Cubes)."""

    name: ClassVar[str] = "marching_cubes"
    accepts: ClassVar[type[Representation]] = RadianceField  # type: ignore[type-abstract]
    Config: ClassVar[type[Any]] = MarchingCubesConfig

    def filename(self, label: str) -> str:
        return f"{label}.{self.config.format}"

    def export(self, subject: ExportSubject, path: Path) -> dict[str, Any]:
        import trimesh

        field = subject.representation
        assert isinstance(field, RadianceField)
        self._check_memory()
        grid = sample_density(field, self.config.resolution)
        span = self._span(grid)
        grid, threshold = self._threshold(grid, subject)
        if not threshold:
            raise ExportError(f"no surface: no density casts the field's silhouette; {span}")
        ceiling = math.inf if self.config.threshold == "paper" else 2.0  # its filters have softened every edge
        surface = extract(grid, threshold, self.config.smallest_share, self.config.smoothing, ceiling)
        if surface is None or len(surface.mesh.faces) == 0:
            raise ExportError(f"no surface: nothing reaches {threshold:.4g}; {span}")
        mesh = surface.mesh
        colour = from_field(mesh, field) if subject.decodes_pixelwise else from_views(mesh, subject)
        rgba = numpy.concatenate([numpy.round(255 * colour), numpy.full((len(colour), 1), 255)], axis=1)
        save_mesh(
            trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=rgba.astype(numpy.uint8), process=False), path
        )
        return {
            "vertices": len(mesh.vertices),
            "faces": len(mesh.faces),
            "watertight": bool(mesh.is_watertight),
            "components": surface.kept,
            "dropped": surface.dropped,
            "volume": round(float(mesh.volume), 5),
            "threshold": round(float(threshold), 4),
            "density_min": round(float(grid.inner.min()), 3),
            "density_max": round(float(grid.values.max()), 3),
        }

    def _threshold(self, grid: DensityGrid, subject: ExportSubject) -> tuple[DensityGrid, float | None]:
        if self.config.threshold == "paper":
            return paper_grid(grid, self.config.paper_multiple)
        if self.config.threshold == "auto":
            return grid, by_silhouette(grid, subject)
        return grid, float(self.config.threshold)

    def _check_memory(self) -> None:
        needed, free = 60 * self.config.resolution**3, psutil.virtual_memory().available
        if needed > free:
            raise ExportError(
                f"resolution {self.config.resolution} needs about {needed / 2**30:.1f} GiB, "
                f"{free / 2**30:.1f} GiB are free; lower it"
            )

    @staticmethod
    def _span(grid: DensityGrid) -> str:
        """The field's densities in words, with a remedy; raises ExportError where none of them can be a surface."""
        inner = grid.inner
        if not numpy.isfinite(inner).all():
            raise ExportError("no surface: some densities are not finite; the run diverged, lower optimizer.lr")
        low, middle, high = (float(v) for v in (inner.min(), numpy.median(inner), inner.max()))
        if high - low <= 1e-6 * high:
            raise ExportError(
                f"no surface: the density is {high:.4g} everywhere (min, median and max); optimise for more steps"
            )
        return (
            f"density runs from {low:.4g} (median {middle:.4g}) to {high:.4g}. "
            f"Optimise for more steps, or set threshold={max(middle, 0.5 * high):.4g}"
        )
