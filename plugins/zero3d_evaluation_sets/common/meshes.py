"""True surfaces in the data's own axes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d import UserError
from zero3d.geometry import world_to_blender, world_to_gltf
from zero3d.mesh_files import load_mesh

NAMED = {
    ".obj": re.compile(rb"^[ \t]*mtllib[ \t]+([^\r\n]+)", re.MULTILINE),
    ".mtl": re.compile(rb"^[ \t]*(?:map_\w+|bump|norm|disp|decal)[ \t]+([^\r\n]+)", re.MULTILINE | re.IGNORECASE),
}
"""Where a file names others that it needs."""


def own_axes(path: Path, up: str = "z") -> Any:
    """A mesh with the file's own x, y, z where z is up, or turned as Blender turns what has y up: (x, -z, y).

    Datasets' cameras stand in these axes; `load_mesh` alone puts a glTF's front at azimuth 0. Vertices stay split where the
    texture asks for it; `metadata["closed"]`: whether every edge has two faces once they are joined by their places. What
    is not closed has no sure inside.

    Raises:
        UserError: see `load_mesh`.
    """
    mesh = load_mesh(path)
    turn = world_to_gltf if up == "z" else world_to_blender
    mesh.vertices = turn(torch.from_numpy(numpy.array(mesh.vertices))).numpy()
    return with_closed(mesh)


def with_closed(mesh: Any) -> Any:
    """The same mesh with `metadata["closed"]`; see `own_axes`."""
    _, joined = numpy.unique(numpy.asarray(mesh.vertices), axis=0, return_inverse=True)
    faces = joined.reshape(-1)[numpy.asarray(mesh.faces)]
    faces = faces[(faces != numpy.roll(faces, 1, axis=1)).all(axis=1)]
    edges = numpy.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, times = numpy.unique(edges[:, 0] * numpy.int64(len(mesh.vertices)) + edges[:, 1], return_counts=True)
    mesh.metadata["closed"] = bool(len(times)) and bool((times % 2 == 0).all())
    return mesh


def files_of(path: Path) -> Iterator[Path]:
    """The mesh file and those that it names: materials, textures, buffers; what is missing is left out."""
    from zero3d.meshes.neighbours import Neighbours

    yield path
    try:
        data = path.read_bytes() if path.suffix.lower() in (".obj", ".gltf") else b""
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy the object again") from None
    neighbours = Neighbours(path)
    for name in _gltf_names(data) if path.suffix.lower() == ".gltf" else _names(data, ".obj"):
        found = neighbours.find(name)
        if found is None:
            continue
        yield found
        if found.suffix.lower() == ".mtl":
            pictures = (neighbours.find(picture) for picture in _names(found.read_bytes(), ".mtl"))
            yield from (picture for picture in pictures if picture is not None)


def _names(data: bytes, kind: str) -> list[str]:
    return [match.decode("utf-8", "replace").strip() for match in NAMED[kind].findall(data)]


def _gltf_names(data: bytes) -> list[str]:
    try:
        tree = json.loads(data)
        parts = [*tree.get("buffers", []), *tree.get("images", [])]
        names = [str(part["uri"]) for part in parts if "uri" in part]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []  # `load_mesh` says what is wrong
    return [name for name in names if not name.startswith("data:")]
