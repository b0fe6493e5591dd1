"""Gaussians of a .ply (3DGS) or .splat file as discs: enough to see where they are and how coloured."""

from __future__ import annotations

from pathlib import Path

import numpy

from zero3d.errors import UserError

C0 = 0.28209479177387814
"""The constant spherical harmonic."""
MOST = 150_000
"""Discs in a page; the largest and most opaque stay."""
FAINTEST = 0.1
HEADER = 16_384
DISC = numpy.dtype([("place", "<f4", 3), ("radius", "<f4"), ("rgba", "u1", 4)])
"""What the viewer reads, 20 bytes each."""
SPLAT = numpy.dtype([("place", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("turn", "u1", 4)])


def is_splats(path: Path) -> bool:
    """Whether a file holds Gaussians."""
    if path.suffix.lower() == ".ply":
        with path.open("rb") as file:
            return b"f_dc_0" in file.read(HEADER)
    return path.suffix.lower() == ".splat"


def discs(path: Path) -> tuple[bytes, int, int]:
    """The viewer's discs, how many they are, and how many Gaussians the file has.

    Raises:
        UserError: the file is damaged, or a PLY of another layout.
    """
    made = _splat(path) if path.suffix.lower() == ".splat" else _ply(path)
    total = len(made)
    seen = made[made["rgba"][:, 3] > 255 * FAINTEST]
    if len(seen) > MOST:
        weight = seen["rgba"][:, 3] * seen["radius"].astype(numpy.float64) ** 2
        seen = seen[numpy.sort(numpy.argsort(-weight, kind="stable")[:MOST])]
    return seen.tobytes(), len(seen), total


def _splat(path: Path) -> numpy.ndarray:
    data = path.read_bytes()
    if len(data) % SPLAT.itemsize:
        raise UserError(f"{path.name}: {len(data)} bytes; a .splat file has {SPLAT.itemsize} a Gaussian")
    read = numpy.frombuffer(data, SPLAT)
    return _discs(read["place"], read["scale"], read["rgba"])


def _ply(path: Path) -> numpy.ndarray:
    data = path.read_bytes()
    head, end, _ = data[:HEADER].partition(b"end_header\n")
    words = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    names = [line[2] for line in words if line[:2] == ["property", "float"]]
    counts = [int(line[2]) for line in words if line[:2] == ["element", "vertex"] and line[2].isdigit()]
    wanted = {"x", "y", "z", "scale_0", "scale_1", "scale_2", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"}
    plain = sum(line[:1] == ["property"] for line in words) == len(names) and len(set(names)) == len(names)
    if not end or ["format", "binary_little_endian", "1.0"] not in words or len(counts) != 1 or not plain:
        raise UserError(f"{path.name}: not the PLY of 3DGS (binary, little-endian, floats alone)")
    if not wanted <= set(names) or len(data) - len(head) - len(end) < 4 * counts[0] * len(names):
        raise UserError(f"{path.name}: properties are missing, or it is cut short")
    read = numpy.frombuffer(data, [(n, "<f4") for n in names], counts[0], len(head) + len(end))
    place = numpy.stack([read[n] for n in "xyz"], axis=-1)
    scale = numpy.exp(numpy.stack([read[f"scale_{k}"] for k in range(3)], axis=-1))
    colour = 0.5 + C0 * numpy.stack([read[f"f_dc_{k}"] for k in range(3)], axis=-1)
    opacity = 1 / (1 + numpy.exp(-read["opacity"].astype(numpy.float64)))
    rgba = numpy.concatenate([colour, opacity[:, None]], axis=-1)
    return _discs(place, scale, numpy.round(255 * rgba.clip(0, 1)).astype(numpy.uint8))


def _discs(place: numpy.ndarray, scale: numpy.ndarray, rgba: numpy.ndarray) -> numpy.ndarray:
    """The radius is that of a ball as large: the geometric mean of the three, one deviation, where opacity is 0.6."""
    made = numpy.zeros(len(place), DISC)
    made["place"], made["rgba"] = place, rgba
    made["radius"] = numpy.cbrt(numpy.maximum(scale, 1e-9).astype(numpy.float64).prod(axis=-1))
    good = numpy.isfinite(made["place"]).all(axis=-1) & numpy.isfinite(made["radius"])
    return made[good]
