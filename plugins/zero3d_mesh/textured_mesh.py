"""The exporter: radiance field or mesh -> file of a mesh with a texture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from zero3d.interfaces import Exporter, ExportSubject, Representation
from zero3d_mesh.cutting.cut import SurfaceConfig, SurfaceSource, cut_surface
from zero3d_mesh.fidelity import fidelity
from zero3d_mesh.patience import BAKING, UNWRAPPING, announce
from zero3d_mesh.texturing.atlas import unwrap
from zero3d_mesh.texturing.texture import bake
from zero3d_mesh.texturing.textured_files import save_textured

FORMATS = ("glb", "obj")


@dataclass
class TexturedMeshConfig(SurfaceConfig):
    """Options of `textured_mesh`, beside those of every surface.

    format: glb, or obj with its .mtl and .png. texture: the picture's side, 64 to 8192 texels. padding: texels between
    charts, 1 to 64. faces: 10,000 here; the texture keeps what the faces lose. project: what the subject's pictures show
    plainly is taken from them, at their own resolution; colours fade into the field's where the surface turns away
    from the camera or is hidden.
    """

    format: str = "glb"
    texture: int = 1024
    padding: int = 4
    faces: int = 10_000
    project: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in FORMATS:
            raise ValueError(f"format: {self.format!r}; one of {', '.join(FORMATS)}; to print: type print_file")
        if not 64 <= self.texture <= 8192:
            raise ValueError(f"texture: {self.texture}; 64 to 8192 texels")
        if not 1 <= self.padding <= 64:
            raise ValueError(f"padding: {self.padding}; 1 to 64 texels")


class TexturedMesh(Exporter):
    """The surface of a radiance field (closed), or a mesh, in few faces and with a texture (xatlas)."""

    name: ClassVar[str] = "textured_mesh"
    accepts: ClassVar[type[Representation]] = SurfaceSource  # type: ignore[type-abstract]
    Config: ClassVar[type[Any]] = TexturedMeshConfig

    def __init__(self, config: TexturedMeshConfig) -> None:
        super().__init__(config)
        self.uses = frozenset({"picture", "pictures"} if config.project else ())

    def filename(self, label: str) -> str:
        return f"{label}.{self.config.format}"

    def export(self, subject: ExportSubject, path: Path) -> dict[str, Any]:
        """Vertices are split where charts meet: a file whose report says `watertight` closes once they are joined."""
        mesh, figures = cut_surface(subject, self.config)
        count, texture = len(mesh.faces), self.config.texture
        announce(subject.tell, f"unwrapping {count:,} faces", UNWRAPPING * count**2)
        atlas = unwrap(mesh, self.config.texture, self.config.padding)
        announce(subject.tell, f"baking {texture} x {texture} texels", BAKING * texture**2)
        picture = bake(mesh, atlas, texture, subject, self.config.project)
        save_textured(mesh, atlas, picture, path)
        return figures | {"texture": self.config.texture, "charts": atlas.charts} | fidelity(path, subject)
