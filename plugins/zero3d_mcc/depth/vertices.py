"""Points of a picture's pixels as the vertices of a file, row by row: what phones' apps write beside a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d import RecipeError, UserError
from zero3d.values import Window

SUFFIXES = (".obj", ".ply")


def read_vertices(path: str, place: str) -> Tensor:
    """(N, 3) in the file's order.

    Raises:
        RecipeError: missing, unreadable, or without vertices.
    """
    source = Path(path).expanduser()
    if not source.is_file():
        raise RecipeError(f"{place}: {path}: no such file; give the path of a .npy, .exr, .obj or .ply")
    try:
        found = _obj(source) if source.suffix.lower() == ".obj" else _ply(source)
        if found.ndim != 2 or found.shape[1:] != (3,) or not len(found):
            raise ValueError("no vertices")
    except Exception as error:  # trimesh raises whatever a damaged file makes it meet
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise RecipeError(f"{place}: {path}: no vertices can be read ({reason}); export it again") from None
    return torch.from_numpy(found.astype(numpy.float32))


def _obj(path: Path) -> numpy.ndarray:
    """By hand: readers of meshes join and reorder vertices."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return numpy.array([line.split()[1:4] for line in file if line.startswith("v ")], numpy.float64)


def _ply(path: Path) -> numpy.ndarray:
    import trimesh

    held: Any = trimesh.load(path, process=False)
    return numpy.asarray(held.vertices)


def as_map(vertices: Tensor, window: Window, place: str) -> Tensor:
    """(N, 3) -> (h, w, 3), of the source picture's size or of a smaller or larger one of its shape.

    Raises:
        UserError: their number is that of no such size.
    """
    count = len(vertices)
    if count == window.height * window.width:
        return vertices.reshape(window.height, window.width, 3)
    height = round(math.sqrt(count * window.height / window.width))
    if height and count % height == 0 and abs(count * window.height / (height**2 * window.width) - 1) < 0.01:
        return vertices.reshape(height, count // height, 3)
    raise UserError(
        f"{place}: {count} vertices; the picture has {window.width}x{window.height} pixels, and one vertex for each is "
        "needed, or for each of a map of that shape"
    )
