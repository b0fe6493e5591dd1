"""Our EXR reader against OpenEXR, which wrote the files."""

import numpy
import pytest

from tests.plugins.evaluation_sets_data import exr
from zero3d import UserError
from zero3d.exr import read_exr


def channels(height, width):
    random = numpy.random.default_rng(7)
    kinds = {"R": "float32", "G": "float16", "B": "float32", "A": "float16"}
    found = {name: random.normal(size=(height, width)).astype(kind) for name, kind in kinds.items()}
    return found | {"id": random.integers(0, 2**32, (height, width), dtype=numpy.uint32)}


@pytest.mark.parametrize("compression", ["NO", "ZIPS", "ZIP", "PIZ", "RLE"])
@pytest.mark.parametrize("size", [(37, 21), (16, 16), (1, 5)])
def test_every_bit_is_openexrs(compression, size, tmp_path):
    written = channels(*size)
    exr(tmp_path / "x.exr", written, compression)
    read = read_exr(tmp_path / "x.exr")
    assert set(read) == set(written)
    for name, values in written.items():
        assert read[name].dtype == values.dtype
        assert numpy.array_equal(read[name], values)


def test_a_picture_of_one_colour_is_compressed_and_read(tmp_path):
    flat = {name: numpy.full((40, 30), 0.25, numpy.float32) for name in "RGB"}
    exr(tmp_path / "x.exr", flat, "ZIP")
    assert (tmp_path / "x.exr").stat().st_size < 2000
    assert all((values == 0.25).all() for values in read_exr(tmp_path / "x.exr").values())


def test_damage_is_one_line(tmp_path):
    ramp = numpy.arange(1200, dtype=numpy.float32).reshape(40, 30)  # which ZIP makes smaller, unlike noise
    exr(tmp_path / "x.exr", {"R": ramp, "G": ramp, "B": ramp}, "ZIP")
    whole = (tmp_path / "x.exr").read_bytes()
    for data in (b"", b"P6 no exr", whole[:40], whole[:400], whole[:-300], whole[:600] + bytes(200) + whole[800:]):
        (tmp_path / "x.exr").write_bytes(data)
        with pytest.raises(UserError, match=r"x.exr: .*copy it again"):
            read_exr(tmp_path / "x.exr")
    with pytest.raises(UserError, match=r"gone.exr: cannot be read"):
        read_exr(tmp_path / "gone.exr")


def test_tiles_are_named(tmp_path, monkeypatch):
    import sys

    import OpenEXR

    plane = {"Y": numpy.ones((32, 32), numpy.float32)}
    header = {"type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
    try:
        OpenEXR.File(header, plane).write(str(tmp_path / "x.exr"))
    except Exception as error:
        pytest.skip(f"this OpenEXR writes no tiles: {error}")
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(UserError, match="with tiles, which needs OpenEXR"):
        read_exr(tmp_path / "x.exr")
