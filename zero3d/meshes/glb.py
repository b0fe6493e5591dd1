"""A triangle mesh with vertex colours as binary glTF 2.0: the same arrays give the same bytes."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy

FLOAT, UNSIGNED_INT, ARRAY, ELEMENTS = 5126, 5125, 34962, 34963
"""glTF's codes for component types and buffer targets."""
MATERIAL = {"pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0}, "doubleSided": False}
"""Matt: glTF's default is metal, which is black where a viewer has no surroundings to mirror."""


def glb_bytes(
    vertices: numpy.ndarray, normals: numpy.ndarray, faces: numpy.ndarray, colours: numpy.ndarray | None = None
) -> bytes:
    """One mesh in one file.

    Args:
        vertices, normals: (V, 3) in glTF axes (y up); normals of length 1.
        faces: (F, 3), counter-clockwise seen from outside.
        colours: (V, 3) linear light in [0, 1], written as floats: 8 bits would merge the dark tones.
    """
    named = {"POSITION": vertices, "NORMAL": normals} | ({} if colours is None else {"COLOR_0": colours})
    arrays = [numpy.ascontiguousarray(array, dtype="<f4") for array in named.values()]
    blobs = [array.tobytes() for array in arrays] + [numpy.ascontiguousarray(faces, dtype="<u4").tobytes()]
    accessors: list[dict[str, Any]] = [
        {"bufferView": place, "componentType": FLOAT, "count": len(array), "type": "VEC3"}
        for place, array in enumerate(arrays)
    ]
    accessors[0] |= {"min": arrays[0].min(axis=0).tolist(), "max": arrays[0].max(axis=0).tolist()}
    last = len(arrays)
    accessors.append({"bufferView": last, "componentType": UNSIGNED_INT, "count": 3 * len(faces), "type": "SCALAR"})
    starts = numpy.cumsum([0, *(len(blob) for blob in blobs)]).tolist()
    views = [
        {"buffer": 0, "byteOffset": start, "byteLength": len(blob), "target": ARRAY if place < last else ELEMENTS}
        for place, (start, blob) in enumerate(zip(starts, blobs, strict=False))
    ]
    attributes = {name: place for place, name in enumerate(named)}
    tree = {
        "asset": {"version": "2.0", "generator": "zero3d"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": last, "material": 0}]}],
        "materials": [MATERIAL],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": starts[-1]}],
    }
    return packed(tree, b"".join(blobs))


def packed(tree: dict[str, Any], body: bytes | bytearray) -> bytes:
    """A GLB of a glTF document and the binary part that its one buffer names."""
    text = json.dumps(tree, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    body = bytes(body) + b"\0" * (-len(body) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(body), b"BIN\0") + body
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks
