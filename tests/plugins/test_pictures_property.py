"""Whatever lies in a picture's place: a picture that can be framed, or a PictureError of one line; never a traceback."""

import io
from pathlib import Path

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.plugins.icc import DISPLAY_P3, cmyk_profile, grey_profile, rgb_profile
from zero3d import PictureError
from zero3d.picture import FRAMINGS, frame
from zero3d_pictures import file as source
from zero3d_pictures.file import FileConfig, PictureFile

EXAMPLES = 120
PROFILES = (
    None,
    b"",
    b"junk",
    rgb_profile(DISPLAY_P3),
    grey_profile(1.8),
    cmyk_profile(30),
    rgb_profile(DISPLAY_P3)[:300],
)
SAVED = {  # Pillow's format -> the modes that it writes
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16", "I", "F", "CMYK", "LAB", "YCbCr"),
    "JPEG": ("1", "L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("L", "RGB", "RGBA", "LA", "P"),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "TGA": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "PPM": ("1", "L", "RGB", "I;16"),
    "AVIF": ("L", "RGB", "RGBA"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16"),
}
HEIC = sorted(Path("tests/data/pictures").glob("*.heic"))
FORMS = [(kind, mode) for kind, modes in SAVED.items() for mode in modes]
SPECIAL = (0.0, 1.0, 255.0, 65535.0, -1.0, 1e30, -1e30, numpy.nan, numpy.inf, -numpy.inf)


@pytest.fixture(autouse=True)
def without_grabcut(monkeypatch):
    """A process for each example would take long; it has tests of its own."""
    monkeypatch.setattr(source, "available", lambda: False)


def holds(path, mask):
    line, found = None, None
    try:
        found = PictureFile(FileConfig(str(path))).read(mask)
    except PictureError as error:
        line = str(error)
    if found is None:
        assert len(line) < 600
        assert line.startswith(("image: ", "input.mask: "))
        return
    assert found.rgba.dtype == numpy.uint8
    assert found.rgba.ndim == 3
    assert found.rgba.shape[-1] == 4
    assert all(note and "\n" not in note for note in found.notes)
    for framing in FRAMINGS:
        assert numpy.isfinite(frame(found.rgba, framing, 32).picture.rgb.numpy()).all()


@st.composite
def alphas(draw, height, width, random):
    """(H, W) uint8: nothing, everything, a block, holes, haze, noise."""
    kind = draw(st.sampled_from(("clear", "full", "block", "hole", "haze", "noise", "two")))
    alpha = numpy.full((height, width), 255 if kind in ("full", "hole") else 0, numpy.uint8)
    block = slice(height // 4, height // 2 + 1), slice(width // 4, width // 2 + 1)
    if kind in ("block", "hole", "two"):
        alpha[block] = 0 if kind == "hole" else 255
    if kind == "two":
        alpha[-2:] = 255
    if kind == "haze":
        alpha[:] = random.integers(0, 256)
    return random.integers(0, 256, alpha.shape, numpy.uint8) if kind == "noise" else alpha


SIDES = st.sampled_from((24, 33, 16, 40, 15))  # 15 is too small for a picture
SIZES = st.tuples(SIDES, SIDES)


@st.composite
def images(draw, size):
    """(image, its format) of any mode and contents; `size` (height, width)."""
    kind, mode = draw(st.sampled_from(FORMS))
    height, width = size
    random = numpy.random.default_rng(draw(st.integers(0, 2**32)))
    colours = draw(st.sampled_from((1, 2, 256)))
    rgb = random.integers(0, 256, (colours, 3))[random.integers(0, colours, (height, width))]
    if draw(st.booleans()):  # an object before a plain background
        rgb[: height // 4], rgb[-(height // 4) - 1 :], rgb[:, : width // 4], rgb[:, -(width // 4) - 1 :] = (
            rgb[0, 0],
        ) * 4
    alpha = draw(alphas(height, width, random))
    rgba = Image.fromarray(numpy.dstack([rgb, alpha]).astype(numpy.uint8))
    if mode in ("I;16", "I", "F"):
        values = rgb[..., 0] * float(draw(st.sampled_from((1 / 255, 1, 257, 1e6))))
        values[random.random(values.shape) < 0.02] = draw(st.sampled_from(SPECIAL))
        kinds = {"I;16": numpy.uint16, "I": numpy.int32, "F": numpy.float32}
        limits = {"I;16": (0, 65535), "I": (0, 2**31 - 129), "F": (-numpy.inf, numpy.inf)}[mode]
        values = values if mode == "F" else numpy.nan_to_num(values).clip(*limits)
        return Image.fromarray(values.astype(kinds[mode])), kind
    return (Image.merge("LAB", rgba.split()[:3]) if mode == "LAB" else rgba.convert(mode)), kind


@st.composite
def files(draw, size=None):
    """The bytes of a picture as somebody may have saved it."""
    image, kind = draw(images(size or draw(SIZES)))
    options = {}
    profile = draw(st.sampled_from(PROFILES))
    if profile is not None and kind in ("PNG", "TIFF", "JPEG", "WEBP", "AVIF"):
        options["icc_profile"] = profile
    if kind in ("PNG", "TIFF", "JPEG", "WEBP", "AVIF") and draw(st.booleans()):
        exif = Image.Exif()
        exif[0x0112] = draw(st.integers(1, 8) if kind == "TIFF" else st.integers(0, 9))  # libtiff writes no other
        options["exif"] = exif
    if kind == "PNG" and image.mode in ("1", "L", "P", "RGB", "I;16") and draw(st.booleans()):
        options["transparency"] = (1, 2, 3) if image.mode == "RGB" else 0
    if kind in ("PNG", "TIFF", "WEBP", "GIF") and draw(st.integers(0, 4)) == 0:
        options |= {"save_all": True, "append_images": [image.copy(), image.copy()]}
    if kind == "TIFF":
        options["compression"] = draw(st.sampled_from((None, "tiff_lzw", "tiff_adobe_deflate", "packbits")))
    data = io.BytesIO()
    image.save(data, kind, **{key: value for key, value in options.items() if value is not None})
    return data.getvalue()


@st.composite
def damaged(draw, good):
    """Good files with some bytes changed, cut out, put in, or the end lost."""
    data = bytearray(draw(good))
    random = numpy.random.default_rng(draw(st.integers(0, 2**32)))
    for _ in range(random.integers(1, 7)):
        # headers are where a byte says most, and where the first tell all from nothing
        at = int(random.integers(4, max(5, min(len(data), random.choice((64, 400, 10**6))))))
        what = random.choice(("set", "bit", "insert", "cut", "end"), p=(0.4, 0.4, 0.08, 0.08, 0.04))
        if what == "set":
            data[at : at + 1] = bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF, random.integers(256)))])
        elif what == "bit":
            data[at : at + 1] = (
                bytes([data[at : at + 1][0] ^ (1 << int(random.integers(8)))]) if at < len(data) else b""
            )
        elif what == "insert":
            data[at:at] = random.bytes(random.integers(1, 9))
        elif what == "cut":
            del data[at : at + random.integers(1, 41)]
        else:
            del data[at:]
    return bytes(data)


PROPERTY = settings(
    max_examples=EXAMPLES,
    deadline=10_000,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@PROPERTY
@given(files(), st.sampled_from((None, "alpha", "background")))
def test_any_picture(tmp_path, data, mask):
    (tmp_path / "a").write_bytes(data)
    holds(tmp_path / "a", mask)


@PROPERTY
@given(SIZES.flatmap(lambda size: st.tuples(files(size), files(size))))
def test_any_mask(tmp_path, both):
    (tmp_path / "a").write_bytes(both[0])
    (tmp_path / "m").write_bytes(both[1])
    holds(tmp_path / "a", str(tmp_path / "m"))


@PROPERTY
@given(damaged(files()))
def test_any_damaged_picture(tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    holds(tmp_path / "a", None)


@settings(PROPERTY, max_examples=EXAMPLES // 15)  # each starts a process
@given(damaged(st.sampled_from([path.read_bytes() for path in HEIC])))
def test_any_damaged_heic(tmp_path, data):
    pytest.importorskip("pi_heif")
    (tmp_path / "a").write_bytes(data)
    holds(tmp_path / "a", "alpha")


@PROPERTY
@given(
    st.binary(max_size=300),
    st.sampled_from(
        (
            b"",
            b"\x89PNG\r\n\x1a\n",
            b"\xff\xd8\xff\xe0",
            b"II*\0",
            b"GIF89a",
            b"RIFF",
            b"BM",
            b"P6 ",
            b"\0\0\0\x18ftypavif",
        )
    ),
)
def test_any_bytes(tmp_path, data, start):
    (tmp_path / "a").write_bytes(start + data)
    holds(tmp_path / "a", None)
