"""A glTF document in plainer words, for a parser that knows the core of glTF and takes the rest as it finds it.

Positions, normals, texture coordinates and colours as floats; no compression; triangles alone; skins and morph targets
as they stand at rest; texture coordinates where the base colour's texture takes them from, moved as it says.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy

from zero3d.meshes.compression import DRACO, MESHOPT, CannotRead, draco
from zero3d.meshes.glb import packed
from zero3d.meshes.gltf import Document, normalised

TRANSFORM = "KHR_texture_transform"
PICTURES = ("EXT_texture_webp", "EXT_texture_avif")
"""Extensions of textures whose pictures Pillow reads."""

UNREADABLE_TEXTURES = {"KHR_texture_basisu": "npx @gltf-transform/cli ktxdecompress IN.glb OUT.glb makes PNGs of them"}
READ = {DRACO, *MESHOPT, "KHR_mesh_quantization", TRANSFORM, *PICTURES, *UNREADABLE_TEXTURES}
HARMLESS = ("KHR_materials_", "KHR_lights_", "KHR_xmp", "KHR_animation_", "KHR_audio", "EXT_lights_")
"""Beginnings of what changes no shape and no base colour."""

MISREAD = ("EXT_mesh_gpu_instancing",)
"""Extensions without which a file shows something else, required or not."""

ODD = re.compile(
    rb'"(normalized|skins|weights|texCoord|sparse|'
    + "|".join([DRACO, *MESHOPT, TRANSFORM, "KHR_mesh_quantization", *PICTURES, *UNREADABLE_TEXTURES]).encode()
    + rb')"|"mode"\s*:\s*[156]'
)
"""In a document's text: reasons to rewrite it."""


def check_extensions(document: Document) -> None:
    """Raises:
    CannotRead: the document needs an extension that nobody here knows.
    """
    for name in document.tree.get("extensionsRequired", []):
        if name not in READ and not str(name).startswith(HARMLESS):
            raise CannotRead(f"it requires the glTF extension {name}, which cannot be read; export it without")
    for name in document.tree.get("extensionsUsed", []):
        if name in MISREAD:
            raise CannotRead(f"it uses the glTF extension {name}, which cannot be read; export it without")


def untextured(document: Document) -> list[str]:
    """Why some textures cannot be drawn, a line each."""
    used = {name for texture in document.list("textures") for name in texture.get("extensions", {})}
    lines = []
    for name, remedy in UNREADABLE_TEXTURES.items():
        if name in used and any("source" not in texture for texture in document.list("textures")):
            lines.append(f"textures are compressed ({name}): drawn without; {remedy}")
    return lines


def plain_glb(document: Document) -> bytes | None:
    """The document rewritten, or None where it is plain already.

    Raises:
        CannotRead, and what damaged trees set off (KeyError, IndexError, TypeError, ValueError).
    """
    return _Rewriter(document).glb() if ODD.search(document.text) else None


class _Rewriter:
    def __init__(self, document: Document) -> None:
        self._document, self._body = document, bytearray()
        self._views: list[dict[str, int]] = []
        self._accessors: list[dict[str, Any]] = []
        self._nodes = copy.deepcopy(document.list("nodes"))
        self._meshes: list[dict[str, Any]] = []

    def glb(self) -> bytes:
        document = self._document
        meshes = document.list("meshes")
        posed = []
        for index, node in enumerate(self._nodes):
            if "mesh" not in node:
                continue
            mesh = meshes[node["mesh"]]
            weights, skin = node.get("weights", mesh.get("weights")), node.pop("skin", None)
            joints = None if skin is None else self._joints(document.list("skins")[skin])
            primitives = [self._primitive(part, weights, joints) for part in mesh["primitives"]]
            self._meshes.append({"primitives": [part for part in primitives if part]})
            node["mesh"] = len(self._meshes) - 1
            if joints is not None:  # a skin's vertices stand in the world: the node's own place does not count
                posed.append({"mesh": self._nodes[index].pop("mesh")})
        roots = list(range(len(self._nodes), len(self._nodes) + len(posed)))
        self._nodes += posed
        scenes = copy.deepcopy(document.list("scenes")) or [{"nodes": _roots(document.list("nodes"))}]
        shown = document.tree.get("scene", 0)
        scenes[shown]["nodes"] = [*scenes[shown].get("nodes", []), *roots]
        tree = {
            "asset": {"version": "2.0"},
            "scene": shown,
            "scenes": scenes,
            "nodes": self._nodes,
            "meshes": self._meshes,
            "materials": [self._material(material) for material in document.list("materials")],
            "textures": [self._texture(texture) for texture in document.list("textures")],
            "images": [self._image(index) for index in range(len(document.list("images")))],
            "accessors": self._accessors,
            "bufferViews": self._views,
            "buffers": [{"byteLength": len(self._body)}],
        }
        return packed({key: value for key, value in tree.items() if value != []}, self._body)

    def _view(self, data: bytes) -> int:
        self._views.append({"buffer": 0, "byteOffset": len(self._body), "byteLength": len(data)})
        self._body += data + b"\0" * (-len(data) % 4)
        return len(self._views) - 1

    def _accessor(self, values: numpy.ndarray, floats: bool = True) -> int:
        values = numpy.ascontiguousarray(values, "<f4" if floats else "<u4")
        kind = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}[1 if values.ndim == 1 else values.shape[1]]
        said = {"bufferView": self._view(values.tobytes()), "componentType": 5126 if floats else 5125}
        self._accessors.append({**said, "count": len(values), "type": kind})
        return len(self._accessors) - 1

    def _primitive(self, said: dict[str, Any], weights: Any, joints: numpy.ndarray | None) -> dict[str, Any] | None:
        mode = said.get("mode", 4)
        if mode not in (4, 5, 6):  # points and lines
            return None
        arrays, indices = self._arrays(said)
        position = numpy.array(arrays["POSITION"], dtype=numpy.float64)
        normal = arrays.get("NORMAL")
        normal = None if normal is None else numpy.array(normal, dtype=numpy.float64)
        for weight, target in zip(weights or (), said.get("targets", ()), strict=False):
            if weight and "POSITION" in target:
                position += weight * self._document.array(target["POSITION"])
            if weight and normal is not None and "NORMAL" in target:
                normal += weight * self._document.array(target["NORMAL"])
        if joints is not None:
            position, normal = _skinned(position, normal, arrays, joints)
        faces = _faces(indices if indices is not None else numpy.arange(len(position)), mode)
        made = {"POSITION": self._accessor(position)}
        if normal is not None:
            length = numpy.linalg.norm(normal, axis=1, keepdims=True)
            made["NORMAL"] = self._accessor(normal / numpy.maximum(length, 1e-12))
        place, uv = self._uv(said, arrays)
        if uv is not None:
            made["TEXCOORD_0"] = self._accessor(uv @ place[:, :2].T + place[:, 2])
        if "COLOR_0" in arrays:
            made["COLOR_0"] = self._accessor(normalised(arrays["COLOR_0"]))
        part = {"attributes": made, "indices": self._accessor(faces.reshape(-1), floats=False)}
        return part | ({"material": said["material"]} if "material" in said else {})

    def _arrays(self, said: dict[str, Any]) -> tuple[dict[str, numpy.ndarray], numpy.ndarray | None]:
        """Attributes by name, and the indices."""
        names = said["attributes"]
        compressed = said.get("extensions", {}).get(DRACO)
        if compressed is None:
            indices = self._document.array(said["indices"])[:, 0] if "indices" in said else None
            return {name: self._document.array(index) for name, index in names.items()}, indices
        by_id, faces = draco(self._document.view(compressed["bufferView"]))
        arrays = {}
        for name, index in names.items():
            if name in compressed["attributes"]:
                values = by_id[compressed["attributes"][name]]
                whole = self._document.list("accessors")[index].get("normalized", False)
                arrays[name] = normalised(values) if whole else values
            else:
                arrays[name] = self._document.array(index)
        return arrays, numpy.asarray(faces).reshape(-1)

    def _uv(self, said: dict[str, Any], arrays: dict[str, numpy.ndarray]) -> tuple[numpy.ndarray, numpy.ndarray | None]:
        """(2, 3) that moves the texture coordinates, and those that the base colour's texture is laid out by."""
        material = self._document.list("materials")[said["material"]] if "material" in said else {}
        texture = material.get("pbrMetallicRoughness", {}).get("baseColorTexture") or material.get(
            "emissiveTexture", {}
        )
        moved = texture.get("extensions", {}).get(TRANSFORM, {})
        uv = arrays.get(f"TEXCOORD_{moved.get('texCoord', texture.get('texCoord', 0))}")
        cosine, sine = numpy.cos(moved.get("rotation", 0.0)), numpy.sin(moved.get("rotation", 0.0))
        turn = numpy.array([[cosine, sine], [-sine, cosine]])  # v runs down: counter-clockwise as it is looked at
        place = numpy.column_stack([turn * moved.get("scale", (1, 1)), moved.get("offset", (0, 0))])
        return place, uv

    def _joints(self, skin: dict[str, Any]) -> numpy.ndarray:
        """(J, 4, 4): from a vertex at rest to where each joint carries it in the world."""
        world = _world_matrices(self._document.list("nodes"))
        places = numpy.stack([world[joint] for joint in skin["joints"]])
        if "inverseBindMatrices" not in skin:
            return places
        inverse = self._document.array(skin["inverseBindMatrices"]).astype(numpy.float64)
        return places @ inverse.reshape(-1, 4, 4).transpose(0, 2, 1)[: len(places)]

    def _material(self, material: dict[str, Any]) -> dict[str, Any]:
        """Without the textures that are laid out otherwise than the base colour's, whose coordinates all share."""
        base = material.get("pbrMetallicRoughness", {}).get("baseColorTexture")
        glow = material.get("emissiveTexture")
        if base and glow and {**base, "index": 0} != {**glow, "index": 0}:
            return {key: value for key, value in material.items() if key not in ("emissiveTexture", "emissiveFactor")}
        return material

    def _texture(self, texture: dict[str, Any]) -> dict[str, Any]:
        said = texture.get("extensions", {})
        source = next((said[name]["source"] for name in PICTURES if name in said), texture.get("source"))
        return {} if source is None else {"source": source}

    def _image(self, index: int) -> dict[str, Any]:
        image = self._document.list("images")[index]
        if "bufferView" not in image:
            return image
        return {**image, "bufferView": self._view(self._document.view(image["bufferView"]))}


def _faces(indices: numpy.ndarray, mode: int) -> numpy.ndarray:
    """(F, 3) of triangles (4), a strip (5) or a fan (6)."""
    indices = indices.astype(numpy.int64)
    if mode == 4:
        return indices[: len(indices) // 3 * 3].reshape(-1, 3)
    if mode == 6:
        return numpy.stack([indices[1:-1], indices[2:], numpy.full(max(len(indices) - 2, 0), indices[0])], axis=1)
    faces = numpy.stack([indices[:-2], indices[1:-1], indices[2:]], axis=1)
    faces[1::2] = faces[1::2][:, [1, 0, 2]]
    return faces


def _skinned(
    position: numpy.ndarray, normal: numpy.ndarray | None, arrays: dict[str, numpy.ndarray], joints: numpy.ndarray
) -> tuple[numpy.ndarray, numpy.ndarray | None]:
    """Positions and normals where the joints, (J, 4, 4), carry them: each vertex by the weighted sum of its matrices."""
    matrices = numpy.zeros((len(position), 4, 4))
    total = numpy.zeros((len(position), 1, 1))
    for place in range(8):
        if f"JOINTS_{place}" in arrays and f"WEIGHTS_{place}" in arrays:
            weights = numpy.asarray(arrays[f"WEIGHTS_{place}"], dtype=numpy.float64)
            for which, weight in zip(arrays[f"JOINTS_{place}"].astype(int).T, weights.T, strict=True):
                matrices += weight[:, None, None] * joints[which]
                total += weight[:, None, None]
    matrices = numpy.where(total > 0, matrices / numpy.where(total > 0, total, 1), numpy.eye(4))
    moved = numpy.einsum("nij,nj->ni", matrices[:, :3, :3], position) + matrices[:, :3, 3]
    if normal is None:
        return moved, None
    return moved, numpy.einsum("nji,nj->ni", numpy.linalg.pinv(matrices[:, :3, :3]), normal)


def _world_matrices(nodes: list[dict[str, Any]]) -> list[numpy.ndarray]:
    """(4, 4) of each node, in the world."""
    above = {child: index for index, node in enumerate(nodes) for child in node.get("children", ())}
    own = [_matrix(node) for node in nodes]
    world = []
    for index in range(len(nodes)):
        matrix, at, steps = own[index], index, 0
        while at in above and steps < len(nodes):
            at, steps = above[at], steps + 1
            matrix = own[at] @ matrix
        world.append(matrix)
    return world


def _matrix(node: dict[str, Any]) -> numpy.ndarray:
    if "matrix" in node:
        return numpy.array(node["matrix"], dtype=numpy.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = numpy.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = numpy.eye(4)
    matrix[:3, :3] = turn * numpy.array(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _roots(nodes: list[dict[str, Any]]) -> list[int]:
    below = {child for node in nodes for child in node.get("children", ())}
    return [index for index in range(len(nodes)) if index not in below]
