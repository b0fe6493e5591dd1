"""Meshes in files and in memory: axes, colour spaces and size, each convention once.

In memory a mesh has world axes (z up) and sRGB colours; in files it has glTF axes (y up) and, in GLB, linear COLOR_0.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d.errors import UserError
from zero3d.geometry import gltf_to_world, world_to_gltf

FORMATS = ("glb", "obj", "ply", "stl")


def load_mesh(path: str | Path) -> Any:
    """A trimesh.Trimesh in world axes from a GLB, glTF, OBJ, PLY or STL file in glTF axes; scenes are joined.

    Raises:
        UserError: missing, unreadable, or without faces.
    """
    import trimesh

    if not Path(path).is_file():
        raise UserError(f"{path}: no such mesh; give a GLB, OBJ, PLY or STL file")
    try:
        mesh = trimesh.load_mesh(path, process=False)
        if isinstance(mesh, trimesh.Scene):
            mesh = mesh.to_mesh()
    except Exception as error:  # trimesh's many readers raise whatever their parser met
        raise UserError(f"{path}: cannot be read as a mesh ({type(error).__name__}: {error})") from None
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) == 0:
        raise UserError(f"{path}: holds no triangles; give a surface mesh")
    vertices = gltf_to_world(torch.from_numpy(numpy.array(mesh.vertices))).numpy()
    visual: Any = mesh.visual
    if visual.kind == "vertex" and Path(path).suffix.lower() in (".glb", ".gltf"):
        rgba = visual.vertex_colors.copy()
        rgba[:, :3] = numpy.round(255 * linear_to_srgb(rgba[:, :3] / 255))
        return trimesh.Trimesh(vertices, mesh.faces, vertex_colors=rgba, process=False)
    mesh = mesh.copy()
    mesh.vertices = vertices
    return mesh


def save_mesh(mesh: Any, path: str | Path) -> None:
    """Write a world-axes trimesh.Trimesh with sRGB vertex colours as GLB, OBJ, PLY or STL in glTF axes, atomically.

    GLB has linear COLOR_0, the others sRGB; vertex normals where the format has them. Same mesh, same bytes.
    """
    import trimesh

    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    vertices = world_to_gltf(torch.from_numpy(numpy.array(mesh.vertices))).numpy()
    colours = numpy.asarray(mesh.visual.vertex_colors) if mesh.visual.kind in ("vertex", "face") else None
    if colours is not None and kind == "glb":
        colours = colours.copy()
        colours[:, :3] = numpy.round(255 * srgb_to_linear(colours[:, :3] / 255))
    turned = trimesh.Trimesh(vertices, mesh.faces, vertex_colors=colours, process=False)
    options: Any = {} if kind == "stl" else {"vertex_normal": True} if kind == "ply" else {"include_normals": True}
    data: Any = turned.export(file_type=kind, **options)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data if isinstance(data, bytes) else data.encode())
    os.replace(temporary, path)


def normalise(mesh: Any, longest: float = 1.0) -> Any:
    """A copy with its bounding box centred on the origin and its longest side `longest` (as the published data)."""
    copy = mesh.copy()
    low, high = copy.bounds
    copy.apply_translation(-(low + high) / 2)
    copy.apply_scale(longest / float((high - low).max()))
    return copy


def srgb_to_linear(colour: numpy.ndarray) -> numpy.ndarray:
    """IEC 61966-2-1, values in [0, 1]."""
    return numpy.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(colour: numpy.ndarray) -> numpy.ndarray:
    """The inverse of `srgb_to_linear`."""
    return numpy.where(colour <= 0.0031308, colour * 12.92, 1.055 * numpy.power(colour, 1 / 2.4) - 0.055)
