"""Compressed geometry of glTF files, by the packages of the extras `draco` and `meshopt`."""

from __future__ import annotations

from typing import Any

import numpy

DRACO, MESHOPT = "KHR_draco_mesh_compression", ("EXT_meshopt_compression", "KHR_meshopt_compression")
REMEDY = "or decompress it with: npx @gltf-transform/cli copy IN.glb OUT.glb"


class CannotRead(ValueError):
    """`str(error)`: which part of a file cannot be read, and what to do, in one line."""


def draco(blob: bytes) -> tuple[dict[int, numpy.ndarray], numpy.ndarray]:
    """Attributes (N, C) by Draco's unique id, as they were compressed, and faces (F, 3)."""
    try:
        import DracoPy
    except ImportError:
        raise CannotRead(f"its geometry is compressed ({DRACO}); pip install 'zero3d[draco]', {REMEDY}") from None
    decoded = DracoPy.decode(blob)
    return {entry["unique_id"]: numpy.asarray(entry["data"]) for entry in decoded.attributes}, decoded.faces


def meshopt(blob: bytes, said: dict[str, Any]) -> bytes:
    """A buffer view of `count` elements of `byteStride` bytes; `said` is the extension's block."""
    try:
        import meshoptimizer
    except ImportError:
        raise CannotRead(
            f"its geometry is compressed ({MESHOPT[0]}); pip install 'zero3d[meshopt]', {REMEDY}"
        ) from None
    count, stride = int(said["count"]), int(said["byteStride"])
    if not 0 < count * stride <= 1024 * len(blob) + 4096:  # a byte of this code says no more than that
        raise CannotRead(f"a compressed buffer of {len(blob)} bytes claims {count} elements")
    data = numpy.frombuffer(blob, numpy.uint8)
    if said["mode"] == "ATTRIBUTES":
        found = meshoptimizer.decode_vertex_buffer(count, stride, data)
    elif said["mode"] == "TRIANGLES":
        found = meshoptimizer.decode_index_buffer(count, stride, data)
    else:
        found = meshoptimizer.decode_index_sequence(count, stride, data)
    raw = numpy.ascontiguousarray(found).view(numpy.uint8).reshape(-1)[: count * stride]
    shaped = numpy.ascontiguousarray(raw).reshape(count, stride)
    filters = {
        "OCTAHEDRAL": meshoptimizer.decode_filter_oct,
        "QUATERNION": meshoptimizer.decode_filter_quat,
        "EXPONENTIAL": meshoptimizer.decode_filter_exp,
    }
    if said.get("filter", "NONE") in filters:
        shaped = filters[said["filter"]](shaped, count, stride)
    return numpy.ascontiguousarray(shaped).tobytes()
