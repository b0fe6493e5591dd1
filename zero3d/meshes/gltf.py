"""A glTF 2.0 document: its tree, what its buffers hold, and its accessors as arrays."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import numpy

from zero3d.meshes.compression import MESHOPT, CannotRead, meshopt

if TYPE_CHECKING:
    from zero3d.meshes.neighbours import Neighbours

DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MOST = 2**24
"""Numbers in an accessor that no buffer holds (zeros): a file that claims more is damaged."""


class Document:
    """A .glb or .gltf file. `tree`: its JSON; `text`: that as it is written.

    Raises:
        CannotRead: no glTF 2.0, or cut off.
        OSError: the file cannot be opened.
    """

    def __init__(self, path: Path, neighbours: Neighbours) -> None:
        self._neighbours, self._buffers, self._views = neighbours, dict[int, bytes](), dict[int, bytes]()
        data = path.read_bytes()
        self.text = data
        if data[:4] == b"glTF":
            self.text, self._buffers = _chunks(data)
        try:
            self.tree = json.loads(self.text)
            version = str(self.tree["asset"]["version"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise CannotRead("no glTF document") from None
        if not version.startswith("2"):
            raise CannotRead(f"glTF {version}; 2.0 can be read: npx gltf-pipeline -i IN -o OUT.glb converts it")

    def list(self, name: str) -> list[dict[str, Any]]:
        """The entries of a kind: meshes, nodes, ..."""
        found: list[dict[str, Any]] = self.tree.get(name, [])
        return found

    def buffer(self, index: int) -> bytes:
        if index not in self._buffers:
            self._buffers[index] = self.uri(self.list("buffers")[index]["uri"])
        return self._buffers[index]

    def uri(self, uri: str) -> bytes:
        """A data URI's content, or the file of that name."""
        if not uri.startswith("data:"):
            return self._neighbours.get(uri)
        head, _, body = uri.partition(",")
        return base64.b64decode(body) if head.endswith(";base64") else unquote_to_bytes(body)

    def view(self, index: int) -> bytes:
        """What a buffer view holds, decompressed."""
        if index not in self._views:
            said = self.list("bufferViews")[index]
            compressed = next(
                (said["extensions"][name] for name in MESHOPT if name in said.get("extensions", {})), None
            )
            place = said if compressed is None else compressed
            start = place.get("byteOffset", 0)
            raw = self.buffer(place["buffer"])[start : start + place["byteLength"]]
            if len(raw) < place["byteLength"]:
                raise CannotRead("its buffers are cut off")
            self._views[index] = raw if compressed is None else meshopt(raw, compressed)
        return self._views[index]

    def image(self, index: int) -> bytes:
        """The bytes of a picture file."""
        image = self.list("images")[index]
        return self.view(image["bufferView"]) if "bufferView" in image else self.uri(image["uri"])

    def array(self, index: int) -> numpy.ndarray:
        """An accessor (N, C): as it is stored, or float64 where it is normalised."""
        said = self.list("accessors")[index]
        dtype, width, count = numpy.dtype(DTYPES[said["componentType"]]), WIDTHS[said["type"]], int(said["count"])
        if "bufferView" in said:
            values = self._strided(said["bufferView"], said.get("byteOffset", 0), dtype, width, count)
        elif 0 <= count * width <= MOST:
            values = numpy.zeros((count, width), dtype)
        else:
            raise CannotRead(f"an accessor without a buffer claims {count} elements")
        if "sparse" in said:
            sparse, values = said["sparse"], values.copy()
            where, what = sparse["indices"], sparse["values"]
            changed = int(sparse["count"])
            kind = numpy.dtype(DTYPES[where["componentType"]])
            rows = self._strided(where["bufferView"], where.get("byteOffset", 0), kind, 1, changed)[:, 0]
            values[rows] = self._strided(what["bufferView"], what.get("byteOffset", 0), dtype, width, changed)
        return normalised(values) if said.get("normalized") else values

    def _strided(self, view: int, offset: int, dtype: numpy.dtype[Any], width: int, count: int) -> numpy.ndarray:
        raw = self.view(view)
        said = self.list("bufferViews")[view]
        step = said.get("byteStride") or width * dtype.itemsize
        if (
            offset < 0
            or step < 0
            or count < 0
            or (count and offset + (count - 1) * step + width * dtype.itemsize > len(raw))
        ):
            raise CannotRead("an accessor reaches out of its buffer")
        return numpy.ndarray((count, width), dtype, raw, offset, (step, dtype.itemsize))


def normalised(values: numpy.ndarray) -> numpy.ndarray:
    """Integers as the fractions that they stand for: 0 to 1, or -1 to 1."""
    if values.dtype.kind not in "iu":
        return values
    return numpy.maximum(values.astype(numpy.float64) / numpy.iinfo(values.dtype).max, -1.0)


def _chunks(data: bytes) -> tuple[bytes, dict[int, bytes]]:
    """The JSON of a GLB and, under 0, its binary part."""
    text, buffers, place = None, dict[int, bytes](), 12
    while place + 8 <= len(data):
        length, kind = struct.unpack_from("<I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        if len(body) < length:
            raise CannotRead("cut off; download or copy it again")
        if kind == b"JSON" and text is None:
            text = body
        elif kind == b"BIN\0":
            buffers.setdefault(0, body)
        place += 8 + length
    if text is None:
        raise CannotRead("a GLB without its JSON part")
    return text, buffers
