"""An exported file as what the viewer shows: a GLB, or discs for Gaussians."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from zero3d.errors import UserError
from zero3d.mesh_files import load_mesh, save_mesh
from zero3d_report.reading.facts import Export
from zero3d_report.reading.splats import discs, is_splats

LARGEST = 20_000_000
"""Bytes of models in one page; beyond, a model is linked."""
MESHES = (".glb", ".obj", ".ply", ".stl", ".gltf")


@dataclass(frozen=True)
class Model:
    """`kind`: "glb" or "discs"; `data`: what the viewer reads, empty if it is not shown; `note`: why not, or how."""

    path: Path
    kind: str
    data: bytes
    note: str = ""


def model_of(export: Export, room: int = LARGEST) -> Model | None:
    """What is shown of an export; None where it left no file. `room`: bytes that it may have."""
    if not export.files:
        return None
    path = export.files[0]
    if path.stat().st_size > room:
        size = path.stat().st_size / 1e6
        return Model(path, "", b"", f"{size:.1f} MB, too large to be held in this page; open the file itself")
    try:
        if is_splats(path):
            data, shown, total = discs(path)
            word = "" if shown == total else f" {shown:,} of"
            return Model(path, "discs", data, f"a sketch:{word} {total:,} Gaussians as opaque discs")
        data = path.read_bytes() if path.suffix.lower() == ".glb" else _converted(path, export)
    except (UserError, OSError, ValueError) as error:
        return Model(path, "", b"", f"cannot be shown: {error}")
    if len(data) > room:
        return Model(path, "", b"", f"{len(data) / 1e6:.1f} MB as GLB, too large to be held in this page")
    return Model(path, "glb", data)


def _converted(path: Path, export: Export) -> bytes:
    """Another format's mesh as GLB, stood up where the export's report says `up: z`.

    Its texture is left out of OBJ, whose colours then are its material's.
    """
    if path.suffix.lower() not in MESHES:
        raise UserError(f"{path.suffix} is no format that this page's viewer reads")
    mesh = load_mesh(path, "z" if export.figures.get("up") == "z" else "y")
    if mesh.visual.kind == "texture":
        mesh.visual = mesh.visual.to_color()
    with tempfile.TemporaryDirectory() as beside:
        made = Path(beside) / "mesh.glb"
        save_mesh(mesh, made)
        return made.read_bytes()
