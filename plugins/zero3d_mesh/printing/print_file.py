"""The exporter: radiance field or mesh -> a file for a slicer, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy
import torch

from zero3d.files import write_bytes
from zero3d.geometry import world_to_blender, world_to_gltf
from zero3d.interfaces import Exporter, ExportSubject, Representation
from zero3d_mesh.colour import coloured
from zero3d_mesh.cutting.cut import SurfaceConfig, SurfaceSource, cut_surface
from zero3d_mesh.fidelity import fidelity_of
from zero3d_mesh.printing.threemf import threemf_bytes

FORMATS = ("stl", "3mf")
LEAST_MM, MOST_MM = 1.0, 10_000.0


@dataclass
class PrintFileConfig(SurfaceConfig):
    """Options of `print_file`, beside those of every surface.

    format: stl (binary, without colours), or 3mf (with vertex colours, which slicers may ignore). size_mm: the longest
    side of the object's box along the axes, millimetres, 1 to 10,000. up: the file's vertical axis; z, as slicers and
    printers have it (the front is -y), or y, as glTF (the front is +z). faces: 50,000 here, taubin: 20.
    """

    format: str = "stl"
    size_mm: float = 100.0
    up: str = "z"
    faces: int = 50_000
    taubin: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in FORMATS:
            raise ValueError(f"format: {self.format!r}; one of {', '.join(FORMATS)}; other formats: type textured_mesh")
        if not LEAST_MM <= self.size_mm <= MOST_MM:
            raise ValueError(f"size_mm: {self.size_mm}; {LEAST_MM:g} to {MOST_MM:g} millimetres, the longest side")
        if self.up not in ("y", "z"):
            raise ValueError(f"up: {self.up!r}; z (slicers, Blender) or y (glTF)")


class PrintFile(Exporter):
    """A surface to print: STL, or 3MF with colours, in millimetres, standing where the axes begin."""

    name: ClassVar[str] = "print_file"
    accepts: ClassVar[type[Representation]] = SurfaceSource  # type: ignore[type-abstract]
    Config: ClassVar[type[Any]] = PrintFileConfig

    def filename(self, label: str) -> str:
        return f"{label}.{self.config.format}"

    def export(self, subject: ExportSubject, path: Path) -> dict[str, Any]:
        """`volume` in the report is in world units, `sides_mm` are the file's x, y and z."""
        import trimesh

        mesh, figures = cut_surface(subject, self.config)
        vertices = placed(mesh.vertices, self.config.size_mm, self.config.up)
        data: Any
        if self.config.format == "3mf":
            mesh = coloured(mesh, subject)
            data = threemf_bytes(vertices, mesh.faces, mesh.visual.vertex_colors[:, :3])
        else:
            data = trimesh.Trimesh(vertices, mesh.faces, process=False).export(file_type="stl")
        likeness = fidelity_of(mesh, subject)
        write_bytes(path, data)
        if not figures["watertight"]:
            subject.tell("note: the mesh is not closed; a slicer has to mend it")
        sides = {"size_mm": self.config.size_mm, "sides_mm": numpy.ptp(vertices, axis=0).round(3).tolist()}
        if self.config.format == "stl":
            likeness.pop("render_rmse")  # of colours, which it has not
        return figures | sides | {"up": self.config.up} | likeness


def placed(vertices: numpy.ndarray, size_mm: float, up: str) -> numpy.ndarray:
    """(V, 3) in world axes -> in the file's: the longest side `size_mm`, the lowest corner of their box at (0, 0, 0).

    3MF's specification asks for positive coordinates, older readers of STL do too.
    """
    turn = world_to_blender if up == "z" else world_to_gltf
    turned = turn(torch.from_numpy(numpy.array(vertices, dtype=numpy.float64))).numpy()
    moved: numpy.ndarray = turned - turned.min(axis=0)
    return moved * (size_mm / float(moved.max()))
