"""nano's finer solid: framings half a pixel apart, its surface where the mask says, cubic B-splines."""

import numpy
import pytest
import torch
from scipy.interpolate import make_interp_spline

from zero3d.geometry import orbit, project
from zero3d.values import Picture, Subject
from zero3d_zero123.nano.finer import (
    FINEST_PICTURE,
    SHIFTS,
    _aside,
    _moved,
    finer,
    level_by_mask,
    of_revolution,
    spread,
)
from zero3d_zero123.nano.lift import BOX, GRID, Lift, Lifted
from zero3d_zero123.nano.reconstructor import NanoLiftConfig


def centres(cells):
    axis = ((torch.arange(cells) + 0.5) / cells * 2 - 1) * BOX
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    return x, y, z


def lifted(solid, camera):
    return Lifted(torch.cat([solid, torch.zeros_like(solid).expand(-1, 3, -1, -1, -1)], dim=1), solid, camera)


@pytest.fixture(scope="module")
def random_lift():
    torch.manual_seed(0)
    lift = Lift().eval().requires_grad_(False)
    for parameter in lift.parameters():
        parameter.add_(0.02 * torch.randn(parameter.shape))
    return lift


def test_the_mirror_image_gives_the_mirrored_solid(random_lift):
    """Whatever the weights."""
    azimuth, side = 70.0, FINEST_PICTURE
    rgb = torch.rand(side, side, 3, generator=torch.Generator().manual_seed(1))
    mask = (torch.linspace(-1, 1, side)[:, None].square() + (torch.linspace(-1, 1, side) - 0.3).square() < 0.2)[
        ..., None
    ]
    camera, solids = orbit(15.0, azimuth, side), []
    for picture in (Picture(rgb, mask.float()), Picture(rgb.flip(1), mask.float().flip(1))):
        solids.append(finer(random_lift, Subject.of(picture, camera), 40, 100.0).volume)
    assert float(solids[0][:, 0].std()) > 0.1, "nothing is lifted"
    assert float((solids[0] - solids[1]).abs().max()) > 0.1, "it is its own mirror image, which proves nothing"
    assert float((solids[0] - solids[1].flip(-2)).abs().max()) < 1e-3


def test_the_spline_is_scipys_and_keeps_a_plane():
    values = torch.randn(1, 1, 12, 12, 12, generator=torch.Generator().manual_seed(0))
    x, y, z = centres(12)
    plane = (0.3 * x - 0.7 * y + 0.2 * z)[None, None]
    inner = slice(6, -6)
    there = 0.3 * (centres(24)[0] + 0.05) - 0.7 * (centres(24)[1] - 0.02) + 0.2 * centres(24)[2]
    found = spread(plane, 24, (0.05, -0.02, 0.0))[0, 0]
    assert float((found - there)[inner, inner, inner].abs().max()) < 2e-3
    assert float((spread(values, 12) - values).abs().max()) < 1e-5
    line = numpy.sin(numpy.arange(32) / 3.0)
    along = torch.from_numpy(line).float()[None, None, None, None].expand(1, 1, 32, 32, 32)
    places = (numpy.arange(64) + 0.5) / 2 - 0.5
    exact = make_interp_spline(numpy.arange(32), line, k=3)(places)
    assert numpy.abs(spread(along, 64)[0, 0, 5, 5].numpy() - exact)[8:-8].max() < 1e-3


@pytest.mark.parametrize("radius", [0.3, 0.4])
def test_the_surface_lies_where_a_ball_casts_the_mask(radius):
    """Logits fall with the distance from the middle: the level wanted is that of the ball's radius."""
    x, y, z = centres(GRID)
    logits = (20 * (0.35 - (x**2 + y**2 + z**2).sqrt()))[None, None]
    camera = orbit(25.0, 40.0, 64)
    share = radius / (float(camera.distance[0]) ** 2 - radius**2) ** 0.5 / float(torch.tan(camera.fovs[0] / 2))
    axis = (torch.arange(64) + 0.5) / 32 - 1
    mask = (axis[:, None] ** 2 + axis**2 < share**2).float()
    assert level_by_mask(lifted(logits, camera), mask) == pytest.approx(20 * (0.35 - radius), abs=0.3)


def test_a_solid_of_revolution_is_made_round_and_no_other():
    """A dented pole becomes the pole with the dent's mean all around; a box stays as it is."""
    x, y, z = centres(32)
    across = ((x - 0.1) ** 2 + (y + 0.15) ** 2).sqrt()
    dent = 3 * torch.exp(-((x - 0.4) ** 2 + (y + 0.15) ** 2 + z**2) / 0.02)
    pole = 40 * torch.minimum(0.3 - across, 0.5 - z.abs())
    found = of_revolution((pole - dent)[None, None], 0.0)
    assert found is not None
    found = found[0, 0]
    ring = (across > 0.25) & (across < 0.35) & (z.abs() < 0.05)
    mean_dent = float(dent[ring].mean())
    assert mean_dent > 0.1
    assert float((pole - found)[ring].mean()) == pytest.approx(mean_dent, rel=0.15)
    assert float((pole - found)[ring].std()) < 0.3 * float(dent[ring].std())
    box = 40 * torch.minimum(torch.minimum(0.4 - x.abs(), 0.15 - y.abs()), 0.3 - z.abs())
    assert of_revolution(box[None, None], 0.0) is None


def test_no_mask_at_all_gives_the_highest_level():
    assert level_by_mask(lifted(torch.zeros(1, 1, 8, 8, 8), orbit(0.0, 0.0, 16)), torch.zeros(16, 16)) == 1.0


def test_a_picture_moves_as_a_thing_in_the_middle_would():
    side = FINEST_PICTURE
    mask = torch.zeros(side, side, 1)
    mask[60:68, 62:66] = 1
    camera = orbit(30.0, 50.0, 64)
    rows, columns = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    for shift in SHIFTS:
        found = _moved(Picture(torch.ones(side, side, 3), mask), shift)[0, 3]
        middle = [float((found * places).sum() / found.sum()) for places in (columns, rows)]
        assert middle == pytest.approx([32 + shift[0], 32 + shift[1]], abs=1e-4)
        in_frame = torch.tensor(_aside(camera, shift))
        places = project(in_frame[None], orbit(30.0, 0.0, 64))[0].reshape(-1)  # the frame's camera is at azimuth 0
        assert [32 + 32 * float(p) for p in places] == pytest.approx(middle, abs=0.02)
    assert all((-right, down) in SHIFTS for right, down in SHIFTS)


@pytest.mark.parametrize("wrong", [{"resolution": 31}, {"resolution": 257}, {"sharpness": 0.0}, {"sharpness": 101}])
def test_what_is_out_of_range_is_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NanoLiftConfig(**wrong)
