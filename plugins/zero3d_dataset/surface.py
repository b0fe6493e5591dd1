"""The surface in a mesh file: every triangle of every part with its material, normalised, in the published axes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d.errors import UserError
from zero3d.geometry import gltf_to_world
from zero3d.mesh_files import srgb_to_linear
from zero3d.meshes.reading import read_scene
from zero3d_dataset.renderer import MeshError
from zero3d_dataset.texture import Material, plain, read_material


@dataclass(frozen=True)
class Surface:
    """F triangles: corners and their normals (F, 3, 3), uv (F, 3, 2), linear RGBA of the vertices (F, 3, 4), float32.

    material (F,): index into `materials`.
    """

    corners: numpy.ndarray
    normals: numpy.ndarray
    uv: numpy.ndarray
    colour: numpy.ndarray
    material: numpy.ndarray
    materials: list[Material]
    notes: tuple[str, ...] = ()
    """What of the file could not be read: missing textures, triangles without corners."""


def read_surface(path: Path, y_up: bool = True, max_texture: int = 1024) -> Surface:
    """Read a mesh file; bounding box centred on the origin, longest side 1.

    Args:
        y_up: which axis is up in OBJ, PLY and STL files; glTF says y itself.
        max_texture: the longest side of a texture that is kept, pixels.

    Raises:
        MeshError: unreadable, nothing in it, or coordinates that mean nothing.
    """
    import trimesh

    gltf = path.suffix.lower() in (".glb", ".gltf")
    parts: list[Surface] = []
    try:
        read = read_scene(path)
        for node in sorted(read.scene.graph.nodes_geometry, key=str):
            matrix, name = read.scene.graph[node]
            geometry = read.scene.geometry[name]
            if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
                parts.append(_part(geometry, numpy.asarray(matrix, dtype=numpy.float64), gltf, max_texture))
    except UserError as error:
        raise MeshError(str(error).removeprefix(f"{path}: ")) from None
    except MemoryError:
        raise MeshError("too large for the memory") from None
    except Exception as error:  # what odd placements and colours set off
        raise MeshError(f"cannot be read ({type(error).__name__}: {error})") from None
    return replace(_normalised(_joined(parts), turn=gltf or y_up), notes=tuple(read.notes))


def _part(mesh: Any, matrix: numpy.ndarray, gltf: bool, max_texture: int) -> Surface:
    faces = numpy.asarray(mesh.faces)
    corners = (numpy.asarray(mesh.vertices, dtype=numpy.float64) @ matrix[:3, :3].T + matrix[:3, 3])[faces]
    visual = mesh.visual
    uv, own = getattr(visual, "uv", None), getattr(visual, "material", None)
    given = visual.vertex_attributes.get("color") if visual.kind == "texture" else None
    if visual.kind in ("vertex", "face"):
        given = visual.vertex_colors if visual.kind == "vertex" else visual.face_colors
        material = plain(1.0)
    else:
        material = read_material(own, max_texture)
        if given is not None and own is None:
            material = plain(1.0)
    colour = numpy.ones((len(faces), 3, 4), numpy.float32)
    if given is not None and numpy.ndim(given) == 2:
        values = _linear_colours(numpy.asarray(given), gltf)
        colour = values[:, None].repeat(3, axis=1) if visual.kind == "face" else values[faces]
    return Surface(
        corners=corners,
        normals=_normals(mesh, faces, corners, matrix),
        uv=numpy.zeros((len(faces), 3, 2), numpy.float32)
        if uv is None or len(uv) != len(mesh.vertices)
        else numpy.nan_to_num(numpy.asarray(uv, numpy.float32)[:, :2])[faces],
        colour=colour,
        material=numpy.zeros(len(faces), numpy.int32),
        materials=[material],
    )


def _normals(mesh: Any, faces: numpy.ndarray, corners: numpy.ndarray, matrix: numpy.ndarray) -> numpy.ndarray:
    """The file's own normals where it has them, else flat ones."""
    with numpy.errstate(all="ignore"):
        flat = numpy.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, None].repeat(3, axis=1)
        normals = flat
        if "vertex_normals" in mesh._cache and abs(numpy.linalg.det(matrix[:3, :3])) > 0:
            turned = (numpy.asarray(mesh.vertex_normals) @ numpy.linalg.inv(matrix[:3, :3]))[faces]
            usable = numpy.isfinite(turned).all(axis=(1, 2)) & (numpy.linalg.norm(turned, axis=2).min(axis=1) > 0)
            normals = numpy.where(usable[:, None, None], turned, flat)
        normals = normals / numpy.linalg.norm(normals, axis=2, keepdims=True)
    return numpy.nan_to_num(normals).astype(numpy.float32)


def _linear_colours(colours: numpy.ndarray, linear: bool) -> numpy.ndarray:
    whole = numpy.iinfo(colours.dtype).max if colours.dtype.kind == "u" else 1.0
    values = numpy.clip(numpy.nan_to_num(colours[:, :4].astype(numpy.float64) / whole), 0, 1)
    rgb = values[:, :3] if linear else srgb_to_linear(values[:, :3])
    alpha = values[:, 3:] if values.shape[1] == 4 else numpy.ones((len(values), 1))
    return numpy.concatenate([rgb, alpha], axis=1).astype(numpy.float32)


def _joined(parts: list[Surface]) -> Surface:
    if not parts:
        raise MeshError("holds no triangles")
    counts = [len(part.corners) for part in parts]
    arrays: dict[str, Any] = {
        name: numpy.concatenate([getattr(part, name) for part in parts])
        for name in ("corners", "normals", "uv", "colour")
    }
    material = numpy.repeat(numpy.arange(len(parts), dtype=numpy.int32), counts)
    return Surface(**arrays, material=material, materials=[part.materials[0] for part in parts])


def _normalised(surface: Surface, turn: bool) -> Surface:
    with numpy.errstate(all="ignore"):
        kept = numpy.isfinite(surface.corners).all(axis=(1, 2))
        corners = surface.corners[kept]
        if not len(corners):
            raise MeshError("holds no triangles with finite corners")
        low, high = corners.min(axis=(0, 1)), corners.max(axis=(0, 1))
        longest = float((high - low).max())
        if not 0 < longest < math.inf:
            raise MeshError(f"its longest side is {longest:g}")
        corners = corners / longest - (low / longest + high / longest) / 2
    normals = surface.normals[kept]
    if turn:
        corners, normals = published_axes(corners), published_axes(normals)
    return Surface(
        numpy.ascontiguousarray(corners, dtype=numpy.float32),
        numpy.ascontiguousarray(normals, dtype=numpy.float32),
        surface.uv[kept],
        surface.colour[kept],
        surface.material[kept],
        surface.materials,
    )


def published_axes(points: numpy.ndarray) -> numpy.ndarray:
    """(..., 3) from glTF's axes to those that Blender gives an imported glTF file: (x, y, z) becomes (x, -z, y)."""
    return to_published(gltf_to_world(torch.from_numpy(points)).numpy())


def to_published(points: numpy.ndarray) -> numpy.ndarray:
    """(..., 3) from zero3d's world to the published one: a quarter turn about z, (x, y, z) becomes (y, -x, z)."""
    return points[..., [1, 0, 2]] * numpy.array([1, -1, 1], dtype=points.dtype)
