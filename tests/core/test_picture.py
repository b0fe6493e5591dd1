"""zero3d.picture.frame against arithmetic done by hand."""

import numpy
import pytest
import torch

from zero3d import PictureError
from zero3d.picture import DEMO_SHARE, FIT_SHARE, frame


def block(height, width, top, left, tall, wide, colour=(200, 30, 30), hidden=(0, 0, 0)):
    """A rectangle on transparent pixels of the colour `hidden`."""
    rgba = numpy.zeros((height, width, 4), numpy.uint8)
    rgba[..., :3] = hidden
    rgba[top : top + tall, left : left + wide] = (*colour, 255)
    return rgba


def centre_and_extent(mask):
    """(row, column) of the middle and (height, width) of a mask (H, W, 1), in pixels, from its coverage."""
    coverage = [mask[..., 0].amax(dim=1), mask[..., 0].amax(dim=0)]
    extent = [float(c.sum()) for c in coverage]
    middle = [float((c * (torch.arange(len(c)) + 0.5)).sum() / c.sum()) for c in coverage]
    return middle, extent


@pytest.mark.parametrize("size", [32, 64, 100])
def test_fit_centres_an_off_centre_object_at_its_share(size):
    framed = frame(block(300, 400, 10, 250, 60, 120), "fit", size)
    middle, extent = centre_and_extent(framed.picture.mask)
    assert framed.picture.rgb.shape == (size, size, 3)
    assert framed.picture.mask.shape == (size, size, 1)
    assert middle == pytest.approx([size / 2, size / 2], abs=1e-4)
    assert extent == pytest.approx([0.3 * size, FIT_SHARE * size], abs=1e-3)
    assert framed.scale == pytest.approx(FIT_SHARE * size / 120)
    assert framed.notes == ()


def test_fit_enlarges_a_small_object():
    framed = frame(block(64, 64, 5, 40, 16, 8), "fit", 160)
    middle, extent = centre_and_extent(framed.picture.mask)
    assert framed.scale == pytest.approx(6)
    assert middle == pytest.approx([80, 80], abs=1e-4)
    assert extent == pytest.approx([96, 48], abs=6)  # edges are as soft as one source pixel
    assert float(framed.picture.mask[80, 80]) == pytest.approx(1)


def test_demo_puts_a_large_object_at_200_of_256():
    framed = frame(block(1000, 1200, 100, 50, 400, 800), "demo", 256)
    middle, extent = centre_and_extent(framed.picture.mask)
    assert extent == pytest.approx([100, 200], abs=1e-3)
    assert middle == pytest.approx([128, 128], abs=1e-4)
    assert framed.scale == pytest.approx(DEMO_SHARE * 256 / 800)


def test_demo_never_enlarges():
    rgba = block(120, 120, 20, 30, 50, 40)
    framed = frame(rgba, "demo", 256)
    assert framed.scale == 1
    middle = slice(128 - 25, 128 + 25), slice(128 - 20, 128 + 20)
    expected = torch.zeros(256, 256)
    expected[middle] = 1
    assert torch.equal(framed.picture.mask[..., 0], expected)
    assert "input.framing=fit" in framed.notes[0]


def test_keep_at_its_own_size_changes_nothing():
    rgba = numpy.random.default_rng(0).integers(0, 256, (48, 48, 4), dtype=numpy.uint8)
    rgba[10:40, 10:40, 3] = 255
    picture = frame(rgba, "keep", 48).picture
    alpha = torch.from_numpy(rgba[..., 3:] / 255.0).float()
    colour = torch.from_numpy(rgba[..., :3] / 255.0).float()
    torch.testing.assert_close(picture.mask, alpha)
    torch.testing.assert_close(picture.rgb, colour * alpha + 1 - alpha)


def test_keep_shrinks_by_averaging_areas():
    rgba = numpy.random.default_rng(1).integers(0, 256, (96, 96, 4), dtype=numpy.uint8)
    rgba[..., 3] = 255
    picture = frame(rgba, "keep", 32).picture
    expected = torch.from_numpy(rgba[..., :3] / 255.0).float().reshape(32, 3, 32, 3, 3).mean(dim=(1, 3))
    torch.testing.assert_close(picture.rgb, expected)


def test_shrinking_by_no_whole_number_keeps_the_mean():
    rgba = numpy.random.default_rng(2).integers(0, 256, (100, 100, 4), dtype=numpy.uint8)
    rgba[..., 3] = 255
    picture = frame(rgba, "keep", 37).picture
    mean = torch.from_numpy(rgba[..., :3].mean(axis=(0, 1)) / 255).float()
    torch.testing.assert_close(picture.rgb.mean(dim=(0, 1)), mean, atol=1e-5, rtol=0)


def test_keep_pads_a_wide_picture_and_does_not_stretch_it():
    framed = frame(block(100, 200, 20, 70, 60, 60), "keep", 100)
    middle, extent = centre_and_extent(framed.picture.mask)
    assert extent == pytest.approx([30, 30], abs=1e-3)
    assert middle == pytest.approx([25 + 25, 50], abs=1e-3)
    assert float(framed.picture.rgb[0].min()) == 1
    assert any("padded" in note for note in framed.notes)


@pytest.mark.parametrize("framing", ["keep", "demo", "fit"])
@pytest.mark.parametrize("size", [31, 256])
def test_colours_under_transparent_pixels_do_not_bleed(framing, size):
    colour = torch.tensor([200, 100, 50]) / 255
    rgba = block(90, 90, 25, 31, 40, 37, colour=(200, 100, 50), hidden=(0, 255, 0))
    picture = frame(rgba, framing, size).picture
    torch.testing.assert_close(picture.rgb, picture.mask * colour + 1 - picture.mask, atol=1e-5, rtol=0)
    if size == 31:
        assert ((picture.mask > 0.01) & (picture.mask < 0.99)).any()  # the edges that could bleed are there


def test_object_at_the_edge_is_padded_and_told():
    framed = frame(block(200, 200, 0, 0, 100, 100), "fit", 50)
    middle, _ = centre_and_extent(framed.picture.mask)
    assert middle == pytest.approx([25, 25], abs=1e-4)
    assert "top and left edge" in framed.notes[0]


def test_lints():
    assert "covers the whole picture" in frame(block(64, 64, 0, 0, 64, 64), "keep", 32).notes[0]
    assert "0.20 of the frame" in frame(block(200, 200, 80, 80, 40, 40), "keep", 32).notes[0]
    assert "is 10 pixels: expect little detail" in frame(block(64, 64, 20, 20, 10, 10), "fit", 32).notes[0]
    assert "is 1 pixel: expect little detail" in frame(block(64, 64, 20, 20, 1, 1), "fit", 32).notes[0]
    specked = block(200, 200, 80, 80, 40, 40)
    specked[3, 3, 3] = 255
    assert "specks" in frame(specked, "fit", 32).notes[0]


def test_empty_mask_and_unknown_framing():
    with pytest.raises(PictureError, match=r"input\.mask"):
        frame(block(64, 64, 0, 0, 0, 0), "fit", 32)
    with pytest.raises(ValueError, match="keep, demo, fit"):
        frame(block(64, 64, 8, 8, 40, 40), "crop", 32)


def test_training_pictures_obey_the_same_rule():
    """A rendered picture framed again stays where it is: `fit` at share 0.6 is a fixed point."""
    rgba = block(100, 100, 20, 30, 60, 40)
    torch.testing.assert_close(frame(rgba, "fit", 100).picture.mask, frame(rgba, "keep", 100).picture.mask)
