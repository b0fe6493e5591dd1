"""Clouds in files: Point-E's own .npz, and .ply."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy
import torch
from torch import Tensor

from zero3d import RecipeError
from zero3d.files import write_bytes

COLOURS = ("R", "G", "B")


def read_npz(path: Path, place: str = "start.cloud") -> tuple[Tensor, Tensor]:
    """Coordinates (N, 3) in the cloud's own axes and colours (N, 3) in [0, 1], of a file in Point-E's layout.

    Raises:
        RecipeError: missing, unreadable, or of another layout.
    """
    try:
        with numpy.load(path, allow_pickle=False) as file:
            coords, *channels = (numpy.asarray(file[name], numpy.float32) for name in ("coords", *COLOURS))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise RecipeError(f"{place}: {path}: no cloud of Point-E's (.npz with coords, R, G, B): {reason}") from None
    if coords.ndim != 2 or coords.shape[1:] != (3,) or not len(coords):
        raise RecipeError(f"{place}: {path}: coords are {coords.shape}; (N, 3) are needed, N at least 1")
    if any(channel.shape != coords.shape[:1] for channel in channels):
        raise RecipeError(f"{place}: {path}: R, G, B are not one number for each of its {len(coords)} points")
    colours = numpy.stack(channels, axis=1)
    if not (numpy.isfinite(coords).all() and numpy.isfinite(colours).all()):
        raise RecipeError(f"{place}: {path}: holds nan or inf; make it again")
    return torch.from_numpy(coords), torch.from_numpy(colours).clamp(0, 1)


def save_npz(path: Path, coords: Tensor, colours: Tensor) -> None:
    """What `read_npz` reads."""
    named = {"coords": coords.float().cpu().numpy()}
    named |= {name: colours[:, i].float().cpu().numpy() for i, name in enumerate(COLOURS)}
    buffer = io.BytesIO()
    numpy.savez(buffer, **named)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def ply_bytes(places: Tensor, colours: Tensor) -> bytes:
    """Binary PLY: x, y, z, and red, green, blue of 8 bits."""
    row = numpy.dtype([("place", "<f4", 3), ("colour", "u1", 3)])
    rows = numpy.empty(len(places), row)
    rows["place"] = places.float().cpu().numpy()
    rows["colour"] = numpy.round(255.499 * colours.float().cpu().numpy())  # the published code's rounding
    names = [*(f"float {name}" for name in "xyz"), *(f"uchar {name}" for name in ("red", "green", "blue"))]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(rows)}"]
    lines += [*(f"property {name}" for name in names), "end_header", ""]
    return "\n".join(lines).encode() + rows.tobytes()
