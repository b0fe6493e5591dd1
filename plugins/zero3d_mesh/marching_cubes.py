"""The exporter: radiance field or mesh -> file of a mesh with a colour for every vertex."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zero3d.interfaces import Exporter, ExportSubject, Representation
from zero3d.mesh_files import save_mesh
from zero3d_mesh.colour import coloured
from zero3d_mesh.cutting.cut import SurfaceConfig, SurfaceSource, cut_surface
from zero3d_mesh.fidelity import fidelity

FORMATS = ("glb", "obj", "ply")


@dataclass
class MarchingCubesConfig(SurfaceConfig):
    """Options of `marching_cubes`, beside those of every surface.

    format: glb, obj or ply.
    """

    format: str = "glb"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in FORMATS:
            raise ValueError(f"format: {self.format!r}; one of {', '.join(FORMATS)}; to print: type print_file")


class MarchingCubes(Exporter):
    """The surface of a radiance field as a closed mesh (Marching Cubes), or a mesh as it is, with vertex colours."""

    name: ClassVar[str] = "marching_cubes"
    accepts: ClassVar[type[Representation]] = SurfaceSource  # type: ignore[type-abstract]
    Config: ClassVar[type[Any]] = MarchingCubesConfig

    def filename(self, label: str) -> str:
        return f"{label}.{self.config.format}"

    def export(self, subject: ExportSubject, path: Path) -> dict[str, Any]:
        mesh, figures = cut_surface(subject, self.config)
        save_mesh(coloured(mesh, subject), path)
        return figures | fidelity(path, subject)
