"""Meshes in files and in memory: axes, colour spaces and size, each convention once.

In memory a mesh has world axes (z up) and sRGB colours; in files it has glTF axes (y up) and, in GLB, linear COLOR_0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d.errors import UserError
from zero3d.files import write_bytes
from zero3d.geometry import gltf_to_world, world_to_gltf
from zero3d.meshes.glb import glb_bytes
from zero3d.meshes.reading import FORMATS as FORMATS  # public here
from zero3d.meshes.reading import read_scene

SMALLEST, LARGEST = 1e-9, 1e15
"""The longest side of a mesh that is taken: beyond, squares and normals leave the range of floats."""


def load_mesh(path: str | Path, up: str = "y") -> Any:
    """A trimesh.Trimesh in world axes from a GLB, glTF, OBJ, PLY or STL file; scenes are joined.

    `metadata["notes"]`: what was left out, a line each: missing textures, triangles without corners.

    up: the file's vertical axis; "y" as glTF has it (the front is +z), or "z" (the front is -y, as in Blender).

    Raises:
        UserError: missing, unreadable, without triangles, or of no extent.
    """
    read = read_scene(path)
    linear = Path(path).suffix.lower() in (".glb", ".gltf")
    try:
        for geometry in read.scene.geometry.values():
            _plain_colours(geometry, linear)
        mesh = read.scene.to_mesh()
        vertices = numpy.array(mesh.vertices)
        longest = float(numpy.ptp(vertices[mesh.faces].reshape(-1, 3), axis=0).max())
    except Exception as error:  # what trimesh makes of odd colours, textures and placements
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise UserError(f"{path}: its parts cannot be joined ({said}); export it again as one mesh") from None
    if not SMALLEST < longest < LARGEST:
        raise UserError(f"{path}: its longest side is {longest:g}; scale it to the size of an object")
    if up == "z":
        vertices = vertices[:, [0, 2, 1]] * (1, 1, -1)  # to glTF's axes
    mesh.vertices = gltf_to_world(torch.from_numpy(vertices)).numpy()
    mesh.metadata["notes"] = read.notes
    return mesh


def _texture(material: Any) -> Any:
    """The picture of a trimesh material, if it has one."""
    return getattr(material, "baseColorTexture", None) or getattr(material, "image", None)


def _plain_colours(geometry: Any, linear: bool) -> None:
    """Give an untextured part of a file sRGB vertex colours, from its own (COLOR_0) or its material's."""
    from trimesh.visual import ColorVisuals

    visual: Any = getattr(geometry, "visual", None)
    if visual is None or not visual.defined or (getattr(visual, "uv", None) is not None and _texture(visual.material)):
        return
    colour = visual.vertex_attributes.get("color") if visual.kind == "texture" else visual.vertex_colors
    if colour is None and getattr(visual.material, "baseColorFactor", 0) is None:
        colour = numpy.full(3, 255, numpy.uint8)  # glTF's own default, white
    elif colour is None:
        colour = visual.material.main_color
    colour = numpy.atleast_2d(colour)
    whole = numpy.iinfo(colour.dtype).max if colour.dtype.kind == "u" else 1.0
    rgb = numpy.clip(colour[:, :3].astype(numpy.float64) / whole, 0, 1)
    rgb = numpy.broadcast_to(linear_to_srgb(rgb) if linear else rgb, (len(geometry.vertices), 3))
    geometry.visual = ColorVisuals(geometry, vertex_colors=numpy.round(255 * rgb).astype(numpy.uint8))


def save_mesh(mesh: Any, path: str | Path) -> None:
    """Write a world-axes trimesh.Trimesh with sRGB vertex colours as GLB, OBJ, PLY or STL in glTF axes, atomically.

    GLB has linear COLOR_0 (floats), the others sRGB; vertex normals where the format has them. Same mesh, same bytes.
    """
    import trimesh

    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    vertices = world_to_gltf(torch.from_numpy(numpy.array(mesh.vertices))).numpy()
    colours = numpy.asarray(mesh.visual.vertex_colors) if mesh.visual.kind in ("vertex", "face") else None
    turned = trimesh.Trimesh(vertices, mesh.faces, vertex_colors=colours, process=False)
    data: Any
    if kind == "glb":
        linear = None if colours is None else srgb_to_linear(colours[:, :3] / 255)
        data = glb_bytes(vertices, turned.vertex_normals, mesh.faces, linear)
    else:
        options: Any = {"stl": {}, "ply": {"vertex_normal": True}}.get(kind, {"include_normals": True})
        data = turned.export(file_type=kind, **options)
    write_bytes(path, data if isinstance(data, bytes) else data.encode())


def normalise(mesh: Any, longest: float = 1.0, in_place: bool = False) -> Any:
    """A copy with its bounding box centred on the origin and its longest side `longest` (as the published data)."""
    moved = mesh if in_place else mesh.copy()
    low, high = moved.bounds
    moved.apply_translation(-(low + high) / 2)
    moved.apply_scale(longest / float((high - low).max()))
    return moved


def srgb_to_linear(colour: numpy.ndarray) -> numpy.ndarray:
    """IEC 61966-2-1, values in [0, 1]."""
    return numpy.where(colour <= 0.04045, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(colour: numpy.ndarray) -> numpy.ndarray:
    """The inverse of `srgb_to_linear`."""
    return numpy.where(colour <= 0.0031308, colour * 12.92, 1.055 * numpy.power(colour, 1 / 2.4) - 0.055)
