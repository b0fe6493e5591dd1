"""Colours as they were meant: profiles against the closed form, deep and odd pixels against their definition."""

import struct
import zlib

import numpy
import pytest
from PIL import Image, ImageCms

from tests.plugins.icc import DISPLAY_P3, SRGB, cmyk_profile, grey_profile, rgb_profile, to_srgb
from zero3d_pictures.reading import KEPT_SIDE, read

PATCHES = numpy.array([(200, 60, 40), (90, 160, 80), (60, 70, 160), (128, 128, 128), (255, 255, 255), (0, 0, 0)])


def patches(colours=PATCHES):
    """Stripes of 16x16 pixels."""
    return numpy.repeat(numpy.repeat(colours[None].astype(numpy.uint8), 16, 0), 16, 1)


def opened(path):
    found = read(str(path), "image")
    return found.rgba[8, 8::16].astype(int), list(found.notes)


def png(path, depth, kind, rows, *chunks):
    """A PNG of 16 pixels a row, for what Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    parts = [(b"IHDR", struct.pack(">IIBBBBB", 16, len(rows), depth, kind, 0, 0, 0)), *chunks]
    parts += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))
    return path


class TestProfiles:
    @pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tiff", "a.webp"])
    def test_a_wide_gamut_becomes_srgb(self, tmp_path, name):
        options = {"lossless": True} if name.endswith("webp") else {"quality": 100, "subsampling": 0}
        options = options if name[-4:] in ("webp", ".jpg") else {}
        Image.fromarray(patches()).save(tmp_path / name, icc_profile=rgb_profile(DISPLAY_P3), **options)
        found, notes = opened(tmp_path / name)
        assert abs(found[:, :3] - to_srgb(PATCHES, DISPLAY_P3)).max() <= 3
        assert abs(found[:2, :3] - PATCHES[:2]).max() > 10
        assert notes == ["its colours were converted from 'a wide gamut' to sRGB"]

    def test_alpha_and_palettes_keep_their_transparency(self, tmp_path):
        alpha = numpy.full((16, 96, 1), 255, numpy.uint8)
        alpha[:, :16] = 0
        picture = Image.fromarray(numpy.dstack([patches(), alpha]))
        picture.save(tmp_path / "a.png", icc_profile=rgb_profile(DISPLAY_P3))
        indices = Image.fromarray(
            numpy.repeat(numpy.repeat(numpy.arange(6, dtype=numpy.uint8)[None], 16, 0), 16, 1), "P"
        )
        indices.putpalette(PATCHES.astype(numpy.uint8).tobytes())
        indices.save(tmp_path / "p.png", icc_profile=rgb_profile(DISPLAY_P3), transparency=0)
        for name in ("a.png", "p.png"):
            found, _ = opened(tmp_path / name)
            assert abs(found[:, :3] - to_srgb(PATCHES, DISPLAY_P3)).max() <= 3
            assert found[:, 3].tolist() == [0, 255, 255, 255, 255, 255]

    def test_srgb_by_its_own_profile_stays_to_the_byte(self, tmp_path):
        noise = numpy.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=numpy.uint8)
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        Image.fromarray(noise).save(tmp_path / "a.png", icc_profile=profile)
        found = read(str(tmp_path / "a.png"), "image")
        assert numpy.array_equal(found.rgba[..., :3], noise)
        assert found.notes == ()

    @pytest.mark.parametrize("mode", ["L", "LA", "16"])
    def test_grey(self, tmp_path, mode):
        values = numpy.array([255, 128, 64, 32, 8, 0])
        grey = numpy.repeat(numpy.repeat(values[None], 16, 0), 16, 1)
        if mode == "16":
            picture = Image.fromarray((grey * 257).astype(numpy.uint16))
        else:
            picture = Image.fromarray(grey.astype(numpy.uint8)).convert(mode)
        picture.save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
        found, notes = opened(tmp_path / "a.png")
        expected = to_srgb(numpy.repeat(values[:, None], 3, 1), SRGB, 1.0)  # linear light
        assert abs(found[:, :3] - expected).max() <= 2
        assert "'grey'" in notes[0]

    @pytest.mark.parametrize("name", ["a.jpg", "a.tiff"])
    def test_cmyk(self, tmp_path, name):
        black = numpy.zeros((16, 96, 4), numpy.uint8)
        black[:, 48:, 3] = 255
        picture = Image.fromarray(black, "CMYK")
        picture.save(tmp_path / name, icc_profile=cmyk_profile(lightness=53))
        found, notes = opened(tmp_path / name)
        # relative colorimetric with black point compensation: paper is white, full ink is black
        assert found[0, :3].min() >= 253
        assert found[5, :3].max() <= 130
        assert "'ink'" in notes[0]
        picture.save(tmp_path / name)
        found, notes = opened(tmp_path / name)
        assert found[0, :3].min() >= 253
        assert found[5, :3].max() <= 3
        assert "CMYK without a colour profile" in notes[0]

    def test_lab(self, tmp_path):
        Image.new("LAB", (16, 16), (255, 128, 128)).save(tmp_path / "white.tiff")
        Image.new("LAB", (16, 16), (0, 128, 128)).save(tmp_path / "black.tiff")
        assert opened(tmp_path / "white.tiff")[0].min() >= 254
        assert opened(tmp_path / "black.tiff")[0][0, :3].max() <= 1

    @pytest.mark.parametrize(
        "profile", [b"junk", b"junk" * 200, rgb_profile(DISPLAY_P3)[:200], cmyk_profile(10), grey_profile(2.2)]
    )
    def test_a_profile_that_cannot_be_used_is_told_and_passed_over(self, tmp_path, profile):
        Image.fromarray(patches()).save(tmp_path / "a.png", icc_profile=profile)
        found, notes = opened(tmp_path / "a.png")
        assert numpy.array_equal(found[:, :3], PATCHES)
        assert notes[0].startswith("the file's colour profile cannot be used (")
        assert notes[0].endswith("): its colours are taken as sRGB")

    def test_gamma_and_adobe_rgb_without_a_profile_are_told(self, tmp_path):
        rows = [bytes([9, 99, 199]) * 16] * 16
        path = png(tmp_path / "gamma.png", 8, 2, rows, (b"gAMA", struct.pack(">I", 100_000)))
        assert "says gamma 1 " in opened(path)[1][0]
        path = png(tmp_path / "usual.png", 8, 2, rows, (b"gAMA", struct.pack(">I", 45_455)))
        assert opened(path)[1] == []
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0xA005] = {1: "R03", 2: b"0100"}
        Image.fromarray(patches()).save(tmp_path / "a.jpg", exif=exif)
        assert "Adobe RGB" in opened(tmp_path / "a.jpg")[1][0]


class TestDepths:
    def grey(self, tmp_path, values):
        Image.fromarray(values).save(tmp_path / "a.tiff")
        found = read(str(tmp_path / "a.tiff"), "image")
        return found.rgba[..., 0].astype(int), list(found.notes)

    def ramp(self):
        return numpy.linspace(0, 1, 64 * 64, dtype=numpy.float32).reshape(64, 64)

    @pytest.mark.parametrize("top", [1, 255, 65535, 1e6])
    def test_one_bright_pixel_does_not_darken_the_rest(self, tmp_path, top):
        values = self.ramp() * numpy.float32(top)
        expected = numpy.round(255 * self.ramp())
        values[3, 3], expected[3, 3] = 1e9, 255
        found, notes = self.grey(tmp_path, values)
        assert abs(found - expected).max() <= (1 if top <= 65535 else 3)
        assert "cut off" in notes[0]

    @pytest.mark.parametrize("odd", [numpy.nan, numpy.inf, -numpy.inf])
    def test_one_pixel_that_is_no_number(self, tmp_path, odd):
        values, expected = self.ramp(), numpy.round(255 * self.ramp())
        values[3, 3], expected[3, 3] = odd, 0
        found, notes = self.grey(tmp_path, values)
        assert abs(found - expected).max() <= 1
        assert notes == ["1 of its pixels are no numbers (nan or inf): taken as black"]

    def test_no_number_at_all_is_told(self, tmp_path):
        with pytest.raises(Exception, match="none of its pixels is a number"):
            self.grey(tmp_path, numpy.full((16, 16), numpy.nan, numpy.float32))

    def test_below_black_is_told(self, tmp_path):
        found, notes = self.grey(tmp_path, self.ramp() * 2 - 1)
        assert found.min() == 0
        assert found.max() == 255
        assert notes[0].startswith("50.00% of its pixels lie outside 0 to 1 ")

    def test_a_small_bright_object_before_black_keeps_its_shades(self, tmp_path):
        values = numpy.zeros((256, 256), numpy.float32)
        values[100:116, 100:116] = numpy.arange(256).reshape(16, 16)
        found, notes = self.grey(tmp_path, values)
        assert numpy.array_equal(found, values)
        assert notes == []

    def test_sixteen_bits_of_every_kind(self, tmp_path):
        grey = [struct.pack(">16H", *[200 * 257] * 8, *[10 * 257] * 8)] * 16
        coloured = [struct.pack(">48H", *[200 * 257, 0, 0] * 8, *[10 * 257] * 24)] * 16
        with_alpha = [struct.pack(">32H", *[200 * 257, 65535] * 8, *[10 * 257, 0] * 8)] * 16
        key = (b"tRNS", struct.pack(">H", 10 * 257))
        keys = (b"tRNS", struct.pack(">HHH", *[10 * 257] * 3))
        opaque, clear = (200, 200, 200, 255), (10, 10, 10, 0)
        for name, kind, rows, chunks, left, right in (
            ("grey", 0, grey, [], opaque, (10, 10, 10, 255)),
            ("grey and a clear value", 0, grey, [key], opaque, clear),
            ("colour", 2, coloured, [], (200, 0, 0, 255), (10, 10, 10, 255)),
            ("colour and a clear value", 2, coloured, [keys], (200, 0, 0, 255), clear),
            ("grey with alpha", 4, with_alpha, [], opaque, clear),
        ):
            rgba = read(str(png(tmp_path / "a.png", 16, kind, rows, *chunks)), "image").rgba
            assert tuple(rgba[5, 2]) == left, name
            assert tuple(rgba[5, 12]) == right, name

    def test_one_bit(self, tmp_path):
        rows = [b"\xff\x00"] * 16
        for chunks, alphas in (([], (255, 255)), ([(b"tRNS", struct.pack(">H", 0))], (255, 0))):
            rgba = read(str(png(tmp_path / "a.png", 1, 0, rows, *chunks)), "image").rgba
            assert tuple(rgba[5, 2]) == (255, 255, 255, alphas[0])
            assert tuple(rgba[5, 12]) == (0, 0, 0, alphas[1])

    def test_colours_under_transparent_pixels_stay_out_of_a_shrunk_picture(self, tmp_path):
        rgba = numpy.zeros((32, KEPT_SIDE + 2, 4), numpy.uint8)
        rgba[...] = (0, 255, 0, 0)
        rgba[:, 101:1001] = (200, 0, 0, 255)
        Image.fromarray(rgba).save(tmp_path / "a.png")
        found = read(str(tmp_path / "a.png"), "image").rgba
        assert abs(found[5, 50].astype(int) - (200, 0, 0, 127.5)).max() <= 1  # half of it is the object


class TestSeveral:
    """Of what moves or has pages, the first is used, and told."""

    @pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tiff", "a.avif"])
    def test_the_first(self, tmp_path, name):
        first, second = Image.fromarray(patches()), Image.new("RGB", (96, 16), "blue")
        options = {"lossless": True} if name.endswith("webp") else {}
        first.save(tmp_path / name, save_all=True, append_images=[second], **options)
        found, notes = opened(tmp_path / name)
        assert abs(found[:, :3] - PATCHES).max() <= (24 if name.endswith("avif") else 0)
        assert "several pictures: the first, " in notes[0]
