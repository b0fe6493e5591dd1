"""The published data's pose files: NNN.npy, a 3x4 world-to-camera matrix, OpenGL axes. Nothing in them is unpickled."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy
import torch
from torch import Tensor

from zero3d.errors import UserError
from zero3d.geometry import check_cameras
from zero3d.values import Cameras

LARGEST = 2**16
"""Bytes; a pose and its header take some 224."""


def read_pose(data: bytes, who: str, shapes: Sequence[tuple[int, int]] = ((3, 4),)) -> Tensor:
    """Camera-to-world (4, 4), float64, of a .npy file's bytes: a world-to-camera matrix of one of `shapes`.

    What the header promises is held against `shapes` before anything is read or allocated.

    Raises:
        UserError: no such file, or no pose as `check_cameras` wants it; the line begins with `who`.
    """
    stream = io.BytesIO(data[:LARGEST])
    read_header = {
        (1, 0): numpy.lib.format.read_array_header_1_0,
        (2, 0): numpy.lib.format.read_array_header_2_0,
    }
    try:
        shape, by_columns, kind = read_header[numpy.lib.format.read_magic(stream)](stream)
    except Exception as error:  # whatever Python's own parser, which numpy asks, raises
        raise UserError(f"{who}: no .npy file ({type(error).__name__}: {str(error)[:80]})") from None
    if shape not in shapes or kind.kind not in "fiu":
        wanted = " or ".join("x".join(map(str, known)) for known in shapes)
        raise UserError(f"{who}: {kind} of shape {str(shape)[:40]}; a {wanted} world-to-camera matrix is needed")
    rest = stream.read(kind.itemsize * shape[0] * shape[1])
    if len(rest) < kind.itemsize * shape[0] * shape[1]:
        raise UserError(f"{who}: cut short; its {shape[0]}x{shape[1]} numbers are not all there")
    matrix = numpy.frombuffer(rest, kind).reshape(shape, order="F" if by_columns else "C")
    full = torch.eye(4, dtype=torch.float64)
    full[: shape[0]] = torch.from_numpy(matrix.astype(numpy.float64))
    check_cameras(Cameras(full[None], 1, 1), who)
    camera_to_world: Tensor = torch.linalg.inv(full)
    return camera_to_world
