"""EXR pictures: scan lines without compression, ZIPS and ZIP read here; other kinds through the package OpenEXR."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy

from zero3d.errors import UserError

MAGIC = 20000630
"""A file's first four bytes, little-endian."""
TILED, DEEP, PARTS = 0x200, 0x800, 0x1000
"""Bits of the version field: tiled pictures, deep ones, several parts; none is read here."""
NAMES = ("none", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB")
"""Of compressions, by their number."""
ROWS = {0: 1, 2: 1, 3: 16}
"""Compressions read here -> rows of a block."""
KINDS = ("<u4", "<f2", "<f4")
"""numpy's types of a channel's samples, by their number: uint, half, float."""
LARGEST = 2**14
"""Pixels a side."""


def read_exr(path: Path) -> dict[str, numpy.ndarray]:
    """Channel -> (H, W) of the data window, as the file has them: float16, float32 or uint32.

    Raises:
        UserError: missing, damaged, or a kind that needs OpenEXR, which is not installed; the line names it.
    """
    try:
        data = path.read_bytes()
        header, place, odd = _header(data)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); copy it again") from None
    except (ValueError, struct.error, KeyError, IndexError) as error:
        raise UserError(f"{path}: no EXR picture, or cut short ({str(error)[:80]}); copy it again") from None
    if odd:
        return _by_openexr(path, odd)
    try:
        return _scan_lines(data, header, place)
    except (ValueError, struct.error, zlib.error, KeyError, IndexError, OverflowError) as error:
        raise UserError(f"{path}: damaged or cut short ({str(error)[:80]}); copy it again") from None


def _header(data: bytes) -> tuple[dict[str, bytes], int, str]:
    """Attributes, where they end, and why the file is not read here ("" if it is)."""
    magic, version = struct.unpack_from("<ii", data)
    if magic != MAGIC:
        raise ValueError("it does not begin as one")
    for flag, word in ((PARTS, "several parts"), (DEEP, "deep pixels"), (TILED, "tiles")):
        if version & flag:
            return {}, 0, word
    attributes, place = {}, 8
    while data[place]:
        name, place = _word(data, place)
        _, place = _word(data, place)
        (size,) = struct.unpack_from("<i", data, place)
        attributes[name] = data[place + 4 : place + 4 + size]
        place += 4 + max(size, 0)
    compression = attributes["compression"][0]
    if compression not in ROWS:
        named = NAMES[compression] if compression < len(NAMES) else f"number {compression}"
        return attributes, place, f"{named} compression"
    return attributes, place + 1, ""


def _word(data: bytes, place: int) -> tuple[str, int]:
    end = data.index(b"\0", place)
    return data[place:end].decode("latin-1"), end + 1


def _scan_lines(data: bytes, header: dict[str, bytes], place: int) -> dict[str, numpy.ndarray]:
    left, top, right, bottom = struct.unpack("<4i", header["dataWindow"])
    width, height = right - left + 1, bottom - top + 1
    if not (1 <= width <= LARGEST and 1 <= height <= LARGEST):
        raise ValueError(f"a data window of {width}x{height} pixels")
    channels = _channels(header["channels"])
    starts = numpy.cumsum([0, *(numpy.dtype(kind).itemsize * width for _, kind in channels)])
    rows = ROWS[header["compression"][0]]
    blocks = -(-height // rows)
    offsets = struct.unpack_from(f"<{blocks}Q", data, place)
    lines = numpy.zeros((height, starts[-1]), numpy.uint8)
    for offset in offsets:
        y, size = struct.unpack_from("<ii", data, offset)
        y -= top
        if not 0 <= y < height or size < 0:
            raise ValueError(f"a block at row {y}")
        full = min(rows, height - y) * int(starts[-1])
        body = data[offset + 8 : offset + 8 + size]
        block = numpy.frombuffer(body, numpy.uint8) if size >= full else _inflated(body, full)
        lines[y : y + rows] = block[:full].reshape(-1, starts[-1])
    return {
        name: numpy.ascontiguousarray(lines[:, start:end]).view(kind)
        for (name, kind), start, end in zip(channels, starts, starts[1:], strict=False)
    }


def _channels(data: bytes) -> list[tuple[str, str]]:
    """Name and type of each channel, in the order of a row's data."""
    found, place = [], 0
    while data[place]:
        name, place = _word(data, place)
        kind, _, across, down = struct.unpack_from("<4i", data, place)
        if not 0 <= kind < len(KINDS) or (across, down) != (1, 1):
            raise ValueError(f"channel {name} of type {kind}, every {across} pixels")
        found.append((name, KINDS[kind]))
        place += 16
    return found


def _inflated(body: bytes, full: int) -> numpy.ndarray:
    """ZIP's bytes: inflated, differences undone, even bytes from the first half and odd ones from the second."""
    packed = numpy.frombuffer(zlib.decompressobj().decompress(body, full + 1), numpy.uint8)
    if len(packed) != full:
        raise ValueError(f"a block of {len(packed)} bytes in place of {full}")
    steps = packed.astype(numpy.int64)
    steps[1:] -= 128
    summed = numpy.cumsum(steps).astype(numpy.uint8)
    half = (full + 1) // 2
    mixed = numpy.empty(full, numpy.uint8)
    mixed[0::2], mixed[1::2] = summed[:half], summed[half:]
    return mixed


def _by_openexr(path: Path, why: str) -> dict[str, numpy.ndarray]:
    try:
        import OpenEXR
    except ImportError:
        raise UserError(f"{path}: an EXR picture with {why}, which needs OpenEXR: pip install 'zero3d[exr]'") from None
    try:
        with OpenEXR.File(str(path), separate_channels=True) as opened:
            channels: Any = opened.channels()
            return {name: numpy.array(channel.pixels) for name, channel in channels.items()}
    except Exception as error:  # its C++ raises whatever it met
        raise UserError(f"{path}: with {why}, cannot be read ({str(error)[:80]}); copy it again") from None
