"""PLY and .splat files -> Gaussians or points, in world axes. Nothing in a file is trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import torch

from zero3d.errors import UserError
from zero3d.files.mistaken import mistaken
from zero3d_gaussians.drawing.projection import C0
from zero3d_gaussians.files.turned import turned
from zero3d_gaussians.files.writing import ROW, ply_names
from zero3d_gaussians.values import Start

TYPES = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
}
HEADER = 2**16
"""Bytes of a PLY's header at most."""
EDGE = 1e-3
"""An 8-bit opacity of 0 or 1 begins this far from it."""
DISTINCTIVE = ("f_dc_0", "opacity", "scale_0", "rot_0")
"""Any of these says that a PLY means Gaussians."""
LAYOUT = "the layout of 3DGS (x y z, f_dc_0..2, opacity, scale_0..2, rot_0..3) or points (x y z)"


def read_gaussians(path: str) -> Start | None:
    """Of a .ply in 3DGS's layout or a .splat; None where a .ply holds points or a mesh.

    Raises:
        UserError: missing, unreadable, cut short, of another layout.
    """
    if Path(path).suffix.lower() == ".splat":
        return _read_splat(path)
    table = _read_ply(path)
    if table is None:
        return None
    names = table.dtype.names or ()
    if not any(name in names for name in DISTINCTIVE):
        return None
    rest = sum(name.startswith("f_rest_") for name in names)
    square = rest // 3 + 1
    missing = [name for name in ply_names(rest // 3) if name not in names and name not in ("nx", "ny", "nz")]
    if missing or rest % 3 or math.isqrt(square) ** 2 != square or square > 16:
        lacks = f"lacks {', '.join(missing[:4])}" if missing else f"has {rest} f_rest properties, not 0, 9, 24 or 45"
        raise UserError(f"{path}: {lacks}; write it in {LAYOUT}")

    def columns(*chosen: str) -> Any:
        return torch.from_numpy(numpy.stack([table[name].astype(numpy.float32) for name in chosen], axis=1))

    higher = columns(*(f"f_rest_{k}" for k in range(rest))).reshape(-1, 3, rest // 3).transpose(1, 2) if rest else None
    quaternions = columns(*(f"rot_{k}" for k in range(4)))
    found = Start(
        columns("x", "y", "z"),
        columns(*(f"scale_{k}" for k in range(3))),
        _turns(quaternions, path),
        columns("opacity")[:, 0],
        columns(*(f"f_dc_{k}" for k in range(3)))[:, None],
        higher,
    )
    return turned(found, to_gltf=False)


def opened(path: Path) -> Start | None:
    """`read_gaussians` of any file; None where it holds none, which is seen from a PLY's header.

    Raises:
        UserError: as `read_gaussians`.
    """
    kind = path.suffix.lower()
    if kind not in (".ply", ".splat") or not path.is_file():
        return None
    try:
        wrong = mistaken(path)
        if wrong:
            raise UserError(f"{path}: {wrong}")
        if kind == ".ply":
            with path.open("rb") as file:
                head = file.read(HEADER).partition(b"end_header")[0]
            if not head.startswith(b"ply") or not any(b" " + name.encode() in head for name in DISTINCTIVE):
                return None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
    return read_gaussians(str(path))


def read_points(path: str) -> Start | None:
    """Points of a .ply with their colours, if it has some; None where it has faces.

    Raises:
        UserError: as `read_gaussians`.
    """
    table = _read_ply(path)
    if table is None:
        return None
    names = table.dtype.names or ()
    if not {"x", "y", "z"} <= set(names):
        raise UserError(f"{path}: its vertices lack x, y, z; write it in {LAYOUT}")
    means = torch.from_numpy(numpy.stack([table[name].astype(numpy.float32) for name in "xyz"], axis=1))
    colours = torch.full((len(means), 3), 0.5)
    if {"red", "green", "blue"} <= set(names):
        kind = table.dtype["red"].kind
        raw = numpy.stack([table[name].astype(numpy.float32) for name in ("red", "green", "blue")], axis=1)
        colours = torch.from_numpy(raw / (255 if kind in "ui" else 1)).clamp(0, 1)
    return turned(Start(means, None, None, None, ((colours - 0.5) / C0)[:, None]), to_gltf=False)


def _read_splat(path: str) -> Start:
    data = _bytes(path)
    if len(data) % ROW.itemsize:
        raise UserError(f"{path}: {len(data)} bytes are no whole number of Gaussians of {ROW.itemsize}; get it again")
    rows = numpy.frombuffer(data, ROW)
    rgba = torch.from_numpy(rows["rgba"].astype(numpy.float32) / 255)
    scales = torch.from_numpy(rows["scales"].astype(numpy.float32))
    if len(rows) and not bool((scales > 0).all()):
        raise UserError(f"{path}: some scales are not above 0; is it a .splat file?")
    quaternions = torch.from_numpy((rows["rotation"].astype(numpy.float32) - 128) / 128)
    found = Start(
        torch.from_numpy(rows["means"].astype(numpy.float32)),
        scales.log(),
        _turns(quaternions, path),
        rgba[:, 3].clamp(EDGE, 1 - EDGE).logit(),
        ((rgba[:, :3] - 0.5) / C0)[:, None],
    )
    return turned(found, to_gltf=False)


def _turns(quaternions: Any, path: str) -> Any:
    """As they are, if none is 0."""
    if len(quaternions) and bool((quaternions.norm(dim=1) < 1e-6).any()):
        raise UserError(f"{path}: some rotations are 0; remove these rows")
    return quaternions


@dataclass
class _Element:
    """An element of a PLY's header; a list has a type `None`."""

    name: str
    count: int
    properties: list[tuple[str, str | None]]


def _read_ply(path: str) -> Any:
    """The vertices as a numpy table; None where the file has faces.

    Raises:
        UserError: missing, unreadable, cut short, no PLY.
    """
    data = _bytes(path)
    end = data.find(b"end_header", 0, HEADER)
    line_end = data.find(b"\n", end)
    if not data.startswith(b"ply") or end < 0 or line_end < 0:
        raise UserError(f"{path}: no PLY file, or its header is not whole; write it in {LAYOUT}")
    order, elements = "", list[_Element]()
    for line in data[:end].decode("ascii", "replace").splitlines()[1:]:
        words = line.split()
        if len(words) > 1 and words[0] == "format":
            order = words[1]
        elif len(words) == 3 and words[0] == "element" and words[2].isdigit():
            elements.append(_Element(words[1], int(words[2]), []))
        elif words and words[0] == "property" and elements:
            kind = TYPES.get(words[1]) if len(words) == 3 else None
            elements[-1].properties.append((words[-1], kind))
    if any(element.name == "face" and element.count for element in elements):
        return None
    if not elements or elements[0].name != "vertex" or any(kind is None for _, kind in elements[0].properties):
        raise UserError(f"{path}: its first element is no plain list of vertices; write it in {LAYOUT}")
    vertex, body = elements[0], data[line_end + 1 :]
    names = [name for name, _ in vertex.properties]
    if len(set(names)) != len(names):
        raise UserError(f"{path}: it names a property twice; write it in {LAYOUT}")
    if order == "ascii":
        return _from_text(path, vertex, body)
    sign = {"binary_little_endian": "<", "binary_big_endian": ">"}.get(order)
    if sign is None:
        raise UserError(f"{path}: format {order[:40]!r} is not known; write it as binary_little_endian")
    row = numpy.dtype([(name, sign + str(kind)) for name, kind in vertex.properties])
    if len(body) < row.itemsize * vertex.count:
        have = len(body) // max(row.itemsize, 1)
        raise UserError(f"{path}: cut short: {vertex.count:,} vertices are announced, {have:,} are there; get it again")
    return numpy.frombuffer(body, row, vertex.count)


def _from_text(path: str, vertex: _Element, body: bytes) -> Any:
    lines = body.decode("ascii", "replace").split("\n")[: vertex.count]
    row = numpy.dtype([(name, str(kind)) for name, kind in vertex.properties])
    try:
        rows = [tuple(float(word) for word in line.split()) for line in lines]
        table = numpy.array(rows, numpy.float64).reshape(vertex.count, len(vertex.properties))
    except ValueError:
        raise UserError(
            f"{path}: {vertex.count:,} rows of {len(vertex.properties)} numbers are announced, but that is not what is "
            "there; get it again"
        ) from None
    out = numpy.empty(vertex.count, row)
    for column, (name, _) in enumerate(vertex.properties):
        out[name] = table[:, column]
    return out


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from None
