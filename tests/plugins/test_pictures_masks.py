"""What is noted about a mask, and what is taken out of its edges; good pictures are left in peace."""

from pathlib import Path

import numpy
import pytest
from PIL import Image, ImageFilter

from zero3d_pictures.file import FileConfig, PictureFile
from zero3d_pictures.fringe import fringe
from zero3d_pictures.mask_notes import mask_notes

EXAMPLES = sorted(Path("examples").glob("*.png"))
PHOTOS = sorted(Path("examples/photos").glob("*.jpg"))
SIDE = 200


def disc(row=0.5, column=0.5, radius=0.25, side=SIDE):
    """Alpha (side, side) uint8 of a disc with edges a pixel soft; shares of the side."""
    y, x = (numpy.arange(side) + 0.5)[:, None] / side - row, (numpy.arange(side) + 0.5) / side - column
    return numpy.round(255 * ((radius - numpy.hypot(y, x)) * side + 0.5).clip(0, 1)).astype(numpy.uint8)


def load(path, mask=None):
    return PictureFile(FileConfig(str(path))).read(mask)


def painted(alpha, colour=(180, 60, 40), seed=0):
    """A noisy object of one colour."""
    rgb = numpy.array(colour) + numpy.random.default_rng(seed).integers(-15, 16, (*alpha.shape, 3))
    return numpy.dstack([rgb.clip(0, 255), alpha]).astype(numpy.uint8)


def over(rgba, background):
    """Composited, with the alpha kept: what a cut-out from a photograph often is."""
    a = rgba[..., 3:] / 255
    rgb = numpy.round(rgba[..., :3] * a + (1 - a) * numpy.array(background))
    return numpy.dstack([rgb, rgba[..., 3]]).astype(numpy.uint8)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_left_in_peace(path):
    found = load(path)
    assert found.notes == ()
    assert numpy.array_equal(found.rgba, numpy.asarray(Image.open(path)))


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_the_object_of_a_photograph_is_found_by_the_plain_paper_it_stands_on(path):
    found = load(path)
    (note,) = found.notes
    assert "was told from the plain background" in note
    assert "count as object" not in note
    rows, columns = numpy.nonzero(found.rgba[..., 3] > 127)
    assert min(rows.min(), columns.min(), 599 - rows.max(), 799 - columns.max()) > 10
    assert path.stat().st_size < 60_000


class TestNotes:
    def test_good_masks(self):
        rows = numpy.zeros((SIDE, SIDE), numpy.uint8)
        rows[40:160, 60:140] = 255
        ring = disc(radius=0.4) - disc(radius=0.25)
        cut_off = disc(row=1.0, radius=0.5)
        close = disc(radius=0.6)  # fills the picture but for its corners
        for alpha in (
            rows,
            ring,
            cut_off,
            close,
            disc(),
            disc(radius=0.03),
            numpy.full((SIDE, SIDE), 255, numpy.uint8),
        ):
            assert mask_notes(alpha) == []

    def test_inverted(self):
        for alpha in (disc(), disc(row=0.35, column=0.4), disc(row=1.0, radius=0.5), disc(radius=0.1)):
            assert "is it inverted?" in mask_notes(255 - alpha)[0]
        large = numpy.kron(disc(), numpy.ones((12, 12), numpy.uint8))
        assert "is it inverted?" in mask_notes(255 - large)[0]

    def test_an_inverted_mask_file(self, tmp_path):
        Image.fromarray(over(painted(disc()), (255, 255, 255))[..., :3]).save(tmp_path / "a.png")
        Image.fromarray(255 - disc()).save(tmp_path / "m.png")
        notes = load(tmp_path / "a.png", str(tmp_path / "m.png")).notes
        assert len(notes) == 1
        assert "is it inverted?" in notes[0]

    @pytest.mark.parametrize("value", [20, 90, 140, 200])
    def test_half_transparent_regions(self, value):
        alpha = disc()
        alpha[120:170, 40:160] = numpy.maximum(alpha[120:170, 40:160], value)  # a shadow beneath it
        assert "half-transparent" in mask_notes(alpha)[0]
        alpha = disc()
        alpha[alpha == 255] = value  # glass
        if value > 127:
            assert "half-transparent" in mask_notes(alpha)[0]

    def test_soft_edges_are_none(self):
        soft = Image.fromarray(disc(side=800)).filter(ImageFilter.GaussianBlur(2))
        assert mask_notes(numpy.asarray(soft)) == []

    def test_large_pieces(self):
        two = numpy.maximum(disc(0.5, 0.25, 0.2), disc(0.5, 0.75, 0.1))
        assert mask_notes(two)[0].startswith("the mask has 2 large pieces (80%, 20%)")
        speck = numpy.maximum(disc(0.5, 0.25, 0.2), disc(0.5, 0.75, 0.03))
        assert mask_notes(speck) == []
        torn = disc()
        torn[:, 99] = 0  # a gap as wide as an edge
        assert mask_notes(torn) == []

    def test_wires(self):
        wire = disc(radius=0.4) - disc(radius=0.39)
        wire[100:102, 20:180] = 255
        assert "thinner than a 40th" in mask_notes(wire)[0]
        handle = numpy.maximum(wire, disc(radius=0.2))
        assert mask_notes(handle) == []


class TestFringe:
    BACKGROUNDS = ((255, 255, 255), (0, 0, 0), (0, 200, 0), (20, 40, 220))

    @pytest.mark.parametrize("background", BACKGROUNDS)
    def test_a_background_is_found_and_taken_out(self, background):
        clean = painted(disc())
        mixed = over(clean, background)
        found = fringe(mixed)
        assert abs(255 * found.colour - background).max() < 12
        removed = found.removed(mixed)
        weight = clean[..., 3:] / 255
        error = abs(removed[..., :3].astype(int) - clean[..., :3]) * weight  # as it is composited
        assert error.max() < 8
        assert (abs(mixed[..., :3].astype(int) - clean[..., :3]) * weight).max() > 25
        assert fringe(removed) is None
        assert numpy.array_equal(removed[..., 3], clean[..., 3])
        opaque = clean[..., 3] == 255
        assert numpy.array_equal(removed[opaque], mixed[opaque])

    def test_outlines_shading_and_textures_are_none(self):
        alpha, inner = disc(), disc(radius=0.235)
        outline = painted(alpha)
        outline[inner == 0, :3] = (10, 10, 10)  # three pixels of black around it
        shaded = painted(alpha, (200, 200, 200))
        shaded[..., :3] = shaded[..., :3] * (0.3 + 0.7 * numpy.linspace(0, 1, SIDE))[:, None, None]
        noise = numpy.dstack([numpy.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)), alpha]).astype(numpy.uint8)
        for rgba in (painted(alpha), outline, shaded, noise):
            assert fringe(rgba) is None

    def test_is_told_and_removed_but_where_alpha_is_taken_as_it_is(self, tmp_path):
        mixed = over(painted(disc()), (0, 200, 0))
        Image.fromarray(mixed).save(tmp_path / "a.png")
        Image.fromarray(mixed[..., :3]).save(tmp_path / "rgb.png")
        Image.fromarray(mixed[..., 3]).save(tmp_path / "mask.png")
        for found in (load(tmp_path / "a.png"), load(tmp_path / "rgb.png", str(tmp_path / "mask.png"))):
            assert found.notes[-1].startswith("half-transparent edges held a background's colour, #0")
            assert found.notes[-1].endswith("removed")
            assert fringe(found.rgba) is None
        kept = load(tmp_path / "a.png", "alpha")
        assert numpy.array_equal(kept.rgba, mixed)
        assert "without input.mask=alpha" in kept.notes[0]

    def test_the_kept_picture_of_a_run_stays_as_it_is(self, tmp_path):
        Image.fromarray(over(painted(disc()), (255, 255, 255))).save(tmp_path / "a.png")
        first = load(tmp_path / "a.png").rgba
        Image.fromarray(first).save(tmp_path / "picture.png")
        assert numpy.array_equal(load(tmp_path / "picture.png", "alpha").rgba, first)
