"""A phone's HEIC, by pi-heif in a process of its own."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from zero3d_pictures.apart import Endless, answer

BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1")
LIMIT_S = 60


@dataclass(frozen=True)
class Heic:
    """`png`: the main picture, upright, with its colour profile; empty if it has too many pixels. `count` of pictures."""

    png: bytes
    count: int
    size: tuple[int, int]


def available() -> bool:
    """Whether pi-heif is installed."""
    return importlib.util.find_spec("pi_heif") is not None


def is_heic(path: Path) -> bool:
    """By its first bytes, whatever its name. AVIF, which has the same frame, is not.

    Raises:
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(64)
    return head[4:8] == b"ftyp" and head[8:12] in BRANDS and b"avif" not in head[16:]


def read_heic(path: Path, most_pixels: int) -> Heic:
    """The main picture of a file; of more than `most_pixels` only the size.

    Raises:
        ValueError: damaged, or of a kind that libheif does not read.
        OSError: it cannot be opened.
    """
    try:
        found = answer("heic", [most_pixels], path.read_bytes(), LIMIT_S)
    except Endless:
        raise ValueError(f"it takes longer than {LIMIT_S} s") from None
    if found is None:
        raise ValueError("a damaged HEIC, or of a rare kind")
    line, _, png = found.partition(b"\n")
    count, width, height = map(int, line.split())
    return Heic(png, count, (width, height))
