"""The file image source: where the mask comes from, and one line for each thing that can be wrong."""

import os
import shutil
import struct
import sys
import time
import zlib
from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageDraw

from zero3d import PictureError
from zero3d_pictures import reading
from zero3d_pictures.file import FileConfig, PictureFile
from zero3d_pictures.masking import plain_background
from zero3d_pictures.reading import KEPT_SIDE, MAX_PIXELS


def load(path, mask=None):
    return PictureFile(FileConfig(str(path))).read(mask)


def refusal(path, mask=None):
    """The error's line; it must come fast."""
    started = time.monotonic()
    with pytest.raises(PictureError) as caught:
        load(path, mask)
    assert time.monotonic() - started < 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def disc(size=64, colour=(180, 40, 30), background=(255, 255, 255), alpha=False):
    """A disc of radius size/4 in the middle, and where it is."""
    y, x = numpy.mgrid[:size, :size] + 0.5
    inside = (x - size / 2) ** 2 + (y - size / 2) ** 2 < (size / 4) ** 2
    pixels = numpy.where(inside[..., None], colour, background).astype(numpy.uint8)
    if alpha:
        pixels = numpy.dstack([pixels, 255 * inside.astype(numpy.uint8)])
    return pixels, inside


def save(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def noise(size=64):
    return numpy.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=numpy.uint8)


class TestMask:
    def test_alpha_of_the_picture(self, tmp_path):
        pixels, _ = disc(alpha=True)
        pixels[32, :, 3] //= 2
        found = load(save(tmp_path / "a.png", pixels))
        assert numpy.array_equal(found.rgba, pixels)
        assert found.notes == ()
        assert found.origin.endswith("a.png")

    def test_opaque_alpha_says_nothing_so_the_background_does(self, tmp_path):
        pixels, inside = disc()
        path = save(tmp_path / "a.png", numpy.dstack([pixels, numpy.full((64, 64), 255, numpy.uint8)]))
        found = load(path)
        assert numpy.array_equal(found.rgba[..., 3] > 0, inside)
        assert "plain background #ffffff" in found.notes[0]
        assert load(path, "alpha").rgba[..., 3].min() == 255

    @pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (30, 120, 60)])
    def test_plain_background(self, tmp_path, background):
        pixels, inside = disc(background=background)
        pixels = pixels.astype(int) + numpy.random.default_rng(0).integers(-6, 7, pixels.shape)
        found = load(save(tmp_path / "a.png", pixels.clip(0, 255).astype(numpy.uint8)), "background")
        assert numpy.array_equal(found.rgba[..., 3] == 255, inside)

    def test_background_colour_inside_the_object_stays_and_dust_goes(self):
        pixels, inside = disc(128)
        pixels[60:68, 60:68] = 255
        pixels[5, 5] = 0
        found = plain_background(pixels)
        assert numpy.array_equal(found.mask > 0, inside)
        assert "hole" in found.note

    def test_mask_file_of_grey_or_alpha(self, tmp_path):
        inside = disc()[1]
        picture = save(tmp_path / "a.png", noise())
        grey = save(tmp_path / "grey.png", numpy.where(inside, 255, 0).astype(numpy.uint8))
        cut_out = save(tmp_path / "alpha.png", disc(colour=(0, 0, 0), alpha=True)[0])
        for mask in (grey, cut_out):
            found = load(picture, str(mask))
            assert numpy.array_equal(found.rgba[..., 3] > 0, inside)
            assert numpy.array_equal(found.rgba[..., :3], noise())

    def test_grabcut_is_told_and_repeats_itself(self, tmp_path):
        pytest.importorskip("cv2")
        pixels, inside = disc(96, colour=(220, 40, 30))
        busy = numpy.random.default_rng(1).integers(90, 200, (96, 96, 1)) * numpy.array([0.3, 0.6, 1.0])
        pixels = numpy.where(inside[..., None], pixels, busy.astype(numpy.uint8)).astype(numpy.uint8)
        path = save(tmp_path / "a.png", pixels)
        first, second = load(path), load(path, "grabcut")
        mask = first.rgba[..., 3] > 127
        assert (mask & inside).sum() / (mask | inside).sum() > 0.9
        assert first.notes[0].startswith("WARNING")
        assert numpy.array_equal(first.rgba, second.rgba)

    def test_without_opencv_the_remedy_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "cv2", None)
        path = save(tmp_path / "a.png", noise())
        for mask in (None, "grabcut"):
            assert "pip install 'zero3d[grabcut]'" in refusal(path, mask)


class TestForms:
    def expect_disc(self, found, colour=(180, 40, 30), tolerance=0):
        inside = disc()[1]
        assert numpy.array_equal(found.rgba[..., 3] > 127, inside)
        assert abs(found.rgba[inside][:, :3].astype(int) - colour).max() <= tolerance

    def test_exif_rotation(self, tmp_path):
        pixels = numpy.full((40, 60, 3), 255, numpy.uint8)
        pixels[2:10, 5:25] = (200, 0, 0)
        exif = Image.Exif()
        exif[0x0112] = 6  # turn clockwise to see it upright
        rgba = load(save(tmp_path / "a.png", pixels, exif=exif)).rgba
        assert rgba.shape == (60, 40, 4)
        assert numpy.array_equal(rgba[..., :3], numpy.rot90(pixels, -1))

    def test_palette_with_transparency(self, tmp_path):
        inside = disc()[1]
        picture = Image.fromarray(inside.astype(numpy.uint8), "P")
        picture.putpalette([0, 255, 0, 180, 40, 30])
        picture.save(tmp_path / "a.png", transparency=0)
        self.expect_disc(load(tmp_path / "a.png"))

    def test_grey_and_16_bit(self, tmp_path):
        inside = disc()[1]
        self.expect_disc(load(save(tmp_path / "8.png", numpy.where(inside, 60, 255).astype(numpy.uint8))), 60)
        self.expect_disc(load(save(tmp_path / "16.png", numpy.where(inside, 60 * 257, 65535).astype(numpy.uint16))), 60)
        self.expect_disc(load(save(tmp_path / "dark.png", numpy.where(inside, 65535, 255).astype(numpy.uint16))), 255)
        self.expect_disc(load(save(tmp_path / "f.tiff", numpy.where(inside, 0.2, 1.0).astype(numpy.float32))), 51)

    def test_grey_with_alpha(self, tmp_path):
        inside = disc()[1]
        path = save(tmp_path / "a.png", numpy.dstack([numpy.full((64, 64), 70), 255 * inside]).astype(numpy.uint8))
        self.expect_disc(load(path), 70)

    def test_cmyk(self, tmp_path):
        Image.fromarray(disc()[0]).convert("CMYK").save(tmp_path / "a.tiff")
        self.expect_disc(load(tmp_path / "a.tiff"), tolerance=2)

    def test_animation_gives_its_first_frame(self, tmp_path):
        first = Image.fromarray(disc()[0])
        first.save(tmp_path / "a.gif", save_all=True, append_images=[Image.new("RGB", (64, 64), "blue")])
        found = load(tmp_path / "a.gif")
        assert numpy.array_equal(found.rgba[..., 3] > 0, disc()[1])
        assert "the first, " in found.notes[0]

    def test_a_large_picture_is_shrunk_and_so_is_its_mask(self, tmp_path):
        picture, mask = Image.new("RGB", (KEPT_SIDE + 4, 60), "white"), Image.new("L", (KEPT_SIDE + 4, 60))
        ImageDraw.Draw(picture).rectangle((100, 10, 999, 49), "red")
        ImageDraw.Draw(mask).rectangle((100, 10, 999, 49), 255)
        picture.save(tmp_path / "a.png")
        mask.save(tmp_path / "m.png")
        for found in (load(tmp_path / "a.png"), load(tmp_path / "a.png", str(tmp_path / "m.png"))):
            assert found.rgba.shape == (30, KEPT_SIDE // 2 + 2, 4)
            assert (found.rgba[..., 3] == 255).sum() == 450 * 20
            assert f"{KEPT_SIDE + 4}x60" in found.notes[0]


class TestHeic:
    """Two files in tests/data, for no decoder writes it: `plain`, a red block on white, and `burst`, whose second
    picture, a green block on nothing, is the main one."""

    FOLDER = Path("tests/data/pictures")

    def test_is_read_whatever_its_name(self, tmp_path):
        pytest.importorskip("pi_heif")
        shutil.copy(self.FOLDER / "plain.heic", tmp_path / "IMG_2.jpg")
        for path in (self.FOLDER / "plain.heic", tmp_path / "IMG_2.jpg"):
            found = load(path)
            inside = numpy.zeros((40, 60), bool)
            inside[2:12, 5:25] = True
            mask = found.rgba[..., 3] > 127
            assert (mask & inside).sum() / (mask | inside).sum() > 0.8
            assert abs(found.rgba[7, 15, :3].astype(int) - (200, 0, 0)).max() < 20

    def test_the_main_picture_of_several_is_used(self):
        pytest.importorskip("pi_heif")
        found = load(self.FOLDER / "burst.heic")
        assert found.rgba.shape == (48, 48, 4)
        assert abs(found.rgba[24, 24].astype(int) - (0, 160, 0, 255)).max() < 20
        assert found.rgba[2, 2, 3] < 20
        assert "several pictures" in found.notes[0]

    def test_without_its_reader_the_remedy_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pi_heif", None)
        shutil.copy(self.FOLDER / "plain.heic", tmp_path / "IMG_2.jpg")
        for path in (self.FOLDER / "plain.heic", tmp_path / "IMG_2.jpg"):
            assert "HEIC: pip install 'zero3d[heic]', or save it as PNG or JPEG" in refusal(path)

    def test_one_that_crashes_its_reader_is_told(self):
        pytest.importorskip("pi_heif")
        assert "a damaged HEIC" in refusal(self.FOLDER / "crashes_libheif.heif")

    def test_too_many_pixels_are_refused_before_they_are_decoded(self, monkeypatch):
        pytest.importorskip("pi_heif")
        monkeypatch.setattr(reading, "MAX_PIXELS", 60 * 40 - 1)
        assert "60x40 pixels, over" in refusal(self.FOLDER / "plain.heic")

    def test_a_cut_file_is_told(self, tmp_path):
        pytest.importorskip("pi_heif")
        data = (self.FOLDER / "plain.heic").read_bytes()
        for length in (20, 200, 500, len(data) - 50):
            (tmp_path / "a.heic").write_bytes(data[:length])
            assert "a.heic" in refusal(tmp_path / "a.heic")


class TestRefusals:
    def test_missing_folder_and_no_picture(self, tmp_path):
        assert "no such file; give a PNG" in refusal(tmp_path / "none.png")
        assert "no such file; save it as a file first" in refusal("https://example.org/cat.png")
        assert "a folder" in refusal(tmp_path)
        (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
        (tmp_path / "empty.png").write_bytes(b"")
        assert "no picture" in refusal(tmp_path / "text.png")
        assert "is empty" in refusal(tmp_path / "empty.png")

    @pytest.mark.parametrize(
        ("data", "named"),
        [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 1550\n", "a Git LFS pointer"),
            (b"<!DOCTYPE html><html>Access denied</html>", "a web page"),
            (b"\n  <html><head>", "a web page"),
            (b"PK\3\4rest", "an archive"),
            (b"%PDF-1.7 rest", "a PDF"),
            (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing"),
            (b"8BPS\0\1rest", "a Photoshop file"),
            (b"\0\0\0\x18ftypisom" + bytes(64), "a film"),
            (b"\0\0\0\x18ftypcrx " + bytes(64), "a camera's raw file"),
            (b"v/1\1rest", "OpenEXR"),
            (b"glTF\2\0\0\0", "a model"),
            (b"\xff\x0arest of JPEG XL", "JPEG XL"),
            (b"\x89PNG\r\n\x1a\n", "PNG, damaged or of a rare kind"),
            (b"II*\0" + bytes(80), "TIFF, damaged or of a rare kind"),
            (b"no picture", "no picture of a known format"),
        ],
    )
    def test_what_lies_in_a_pictures_place_is_named(self, tmp_path, data, named):
        (tmp_path / "cat.png").write_bytes(data)
        line = refusal(tmp_path / "cat.png")
        assert f"cat.png is {named}" in line
        assert line.count(";") == 1, "a remedy"
        save(tmp_path / "good.png", noise())
        assert refusal(tmp_path / "good.png", str(tmp_path / "cat.png")).startswith("input.mask: ")

    def test_devices_pipes_and_what_is_no_path(self, tmp_path):
        assert "no plain file" in refusal("/dev/zero")
        os.mkfifo(tmp_path / "pipe.png")
        assert "no plain file" in refusal(tmp_path / "pipe.png")
        good = save(tmp_path / "good.png", noise())
        for path in ("x" * 5000, "a\0b", "~nobody-of-this-name/cat.png", ""):
            assert len(refusal(path)) < 400
            assert refusal(path).startswith("image: ")
            if path:
                assert refusal(good, path).startswith("input.mask: ")

    def test_truncated_and_damaged(self, tmp_path):
        data = save(tmp_path / "a.png", noise()).read_bytes()
        (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
        (tmp_path / "bad.png").write_bytes(data[:200] + bytes(400) + data[600:])
        jpeg = save(tmp_path / "a.jpg", noise()).read_bytes()
        (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
        for name in ("half.png", "bad.png", "half.jpg"):
            assert f"{name} cannot be read as a picture" in refusal(tmp_path / name)

    @pytest.mark.parametrize("side", [8001, 50_000])
    def test_huge_is_refused_by_its_header(self, tmp_path, side):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
        (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 0) + b"IDAT" + bytes(4))
        assert f"{MAX_PIXELS // 10**6} megapixels; shrink it" in refusal(tmp_path / "huge.png")

    @pytest.mark.parametrize("size", [(1, 1), (200, 15)])
    def test_tiny(self, tmp_path, size):
        Image.new("RGB", size).save(tmp_path / "a.png")
        assert "at least 16 a side" in refusal(tmp_path / "a.png")

    def test_other_formats_start_no_program(self, tmp_path):
        Image.fromarray(disc()[0]).save(tmp_path / "a.eps")
        assert "PostScript" in refusal(tmp_path / "a.eps")

    def test_nothing_to_see(self, tmp_path):
        pixels = disc(alpha=True)[0]
        pixels[..., 3] = 0
        assert "fully transparent" in refusal(save(tmp_path / "clear.png", pixels))
        blank = save(tmp_path / "blank.png", numpy.full((64, 64, 3), 255, numpy.uint8))
        for mask in (None, "background", "grabcut"):
            assert "no object: it is of one colour" in refusal(blank, mask)
        assert "no plain background" in refusal(save(tmp_path / "noise.png", noise()), "background")
        assert "no alpha channel" in refusal(blank, "alpha")

    def test_mask_that_does_not_fit(self, tmp_path):
        picture = save(tmp_path / "a.png", disc()[0])
        small = save(tmp_path / "small.png", numpy.full((32, 48), 255, numpy.uint8))
        black = save(tmp_path / "black.png", numpy.zeros((64, 64), numpy.uint8))
        assert "48x32 pixels, the picture 64x64" in refusal(picture, str(small))
        assert "the mask is empty (all black)" in refusal(picture, str(black))
        labels = save(tmp_path / "labels.png", (disc()[1] * 1).astype(numpy.uint8))
        assert "the mask is empty (its brightest value is 1 of 255)" in refusal(picture, str(labels))
        assert "Did you mean 'grabcut'" in refusal(picture, "grabkut")
        assert refusal(picture, str(tmp_path)).startswith("input.mask:")
