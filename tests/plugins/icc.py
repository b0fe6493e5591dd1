"""ICC profiles of known contents (version 2), written by hand, and what they must give in sRGB by the closed form."""

import itertools
import struct

import numpy

# Colorants in XYZ under D50 (columns: red, green, blue), as the published profiles of these spaces state them.
SRGB = numpy.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
DISPLAY_P3 = numpy.array([[0.5151, 0.2920, 0.1571], [0.2412, 0.6922, 0.0666], [-0.0011, 0.0419, 0.7841]])
D50 = (0.9642, 1.0, 0.8249)


def rgb_profile(colorants, gamma=2.2, name="a wide gamut"):
    tags = {b"wtpt": _xyz(D50), b"desc": _text(name), b"cprt": b"text\0\0\0\0none\0"}
    for channel, letter in enumerate(b"rgb"):
        tags[bytes([letter]) + b"XYZ"] = _xyz(colorants[:, channel])
        tags[bytes([letter]) + b"TRC"] = _gamma(gamma)
    return _profile(b"RGB ", b"XYZ ", tags)


def grey_profile(gamma):
    return _profile(b"GRAY", b"XYZ ", {b"wtpt": _xyz(D50), b"desc": _text("grey"), b"kTRC": _gamma(gamma)})


def cmyk_profile(lightness):
    """Colourless: L* is 100 without ink; `lightness` with black ink, the others print nothing."""
    entries = b"".join(
        bytes([lightness * 255 // 100 if k else 255, 128, 128]) for *_, k in itertools.product((0, 1), repeat=4)
    )
    identity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    ramps = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + ramps * 4 + entries + ramps * 3
    return _profile(b"CMYK", b"Lab ", {b"wtpt": _xyz(D50), b"desc": _text("ink"), b"A2B0": lut}, b"prtr")


def to_srgb(rgb, colorants, gamma=2.2):
    """(..., 3) of 255 in the profile's space -> (..., 3) of 255 in sRGB; in gamut."""
    linear = (numpy.asarray(rgb) / 255) ** gamma @ colorants.T @ numpy.linalg.inv(SRGB).T
    linear = linear.clip(0, 1)
    return 255 * numpy.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _profile(space, connection, tags, kind=b"mntr"):
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    size = struct.pack(">I", offset + len(body))
    header = size + bytes(4) + b"\2\x10\0\0" + kind + space + connection + bytes(12) + b"acsp" + bytes(28)
    header += struct.pack(">3i", *(round(65536 * v) for v in D50))
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * float(v)) for v in values))


def _gamma(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))


def _text(text):
    data = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(data)) + data + bytes(78)
