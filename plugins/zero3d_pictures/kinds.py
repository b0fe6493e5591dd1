"""What a file is by its first bytes, where it is no picture that can be read."""

from __future__ import annotations

from pathlib import Path

from zero3d.files.mistaken import mistaken

FILM_BRANDS = (b"iso", b"mp4", b"avc", b"qt", b"m4v", b"3g", b"dash", b"mmp4")
FOREIGN = (
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"v/1\x01", "OpenEXR"),
    (0, b"#?R", "Radiance HDR"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"qoif", "QOI"),
    (0, b"DDS ", "a DDS texture"),
    (1, b"KTX 20", "a KTX2 texture"),
    (0, b"glTF", "a model (glTF)"),
    (8, b"CR\2\0", "a camera's raw file"),
    (4, b"ftypcrx", "a camera's raw file"),
    (0, b"FUJIFILMCCD-RAW", "a camera's raw file"),
    (8, b"AVI ", "a film"),
    (0, b"\x1aE\xdf\xa3", "a film"),
    (0, b"\x93NUMPY", "an array of NumPy"),
)
"""Offset, bytes, name."""
READABLE = (
    (0, b"\x89PNG", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"BM", "BMP"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphe", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
)


def unread(path: Path) -> str:
    """What the file is that Pillow did not recognise, and the remedy: the end of the sentence "FILE is ...".

    Raises:
        OSError: it cannot be opened.
    """
    other = mistaken(path)
    if other is not None:
        return other
    head = _head(path)
    names = [name for offset, magic, name in FOREIGN if head[offset:].startswith(magic)]
    if not names and b"<svg" in head.lower():
        names = ["an SVG drawing"]
    if not names and head[4:8] == b"ftyp" and head[8:12].lower().startswith(FILM_BRANDS):
        names = ["a film"]
    if names:
        return f"{names[0]}, which cannot be read; save it as PNG or JPEG"
    for offset, magic, name in READABLE:
        if head[offset:].startswith(magic):
            return f"{name}, damaged or of a rare kind that cannot be read; save it again as PNG"
    return "no picture of a known format; save it as PNG or JPEG"


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(512)
