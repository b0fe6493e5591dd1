"""Terms on distances, normals, and files of depth and normals: closed forms, and files that are none."""

import math
from dataclasses import replace

import numpy
import pytest
import torch
from PIL import Image

from zero3d.geometry import orbit
from zero3d.testing import loss_context
from zero3d.values import Picture, View
from zero3d_losses.priors.depth_prior import DepthPrior, DepthPriorConfig
from zero3d_losses.priors.normal_prior import NormalPrior, NormalPriorConfig
from zero3d_losses.rays.z_variance import ZVariance
from zero3d_losses.views.convexity import Convexity
from zero3d_losses.views.normal_smoothness import NormalSmoothness

SIZE = 16


def blank(views=1, size=SIZE, opacity=1.0, **fields):
    return View(torch.zeros(views, size, size, 3), torch.full((views, size, size, 1), opacity), **fields)


def normals_of(inside_out=False, azimuth=0.0, bulge=1.0):
    """A ball (or a bowl) that fills the picture of `orbit(20, azimuth)`, as world normals."""
    axis = (torch.arange(SIZE) + 0.5) / (SIZE / 2) - 1
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    sign = -1.0 if inside_out else 1.0
    own = torch.stack([sign * bulge * x, sign * bulge * y, torch.ones_like(x)], -1)
    own = torch.nn.functional.normalize(own, dim=-1)
    return (own @ orbit(20.0, azimuth, 1).camera_to_world[0, :3, :3].T)[None], own


def test_z_variance_is_the_variance_of_normalised_weights_on_solid_rays():
    view = blank(size=2)
    view.opacity[0, 0, 0] = 0.4  # does not count
    weights = torch.tensor([0.3, 0.3]).expand(1, 2, 2, 2).clone()
    distances = torch.tensor([2.0, 3.0]).expand(1, 2, 2, 2).clone()
    distances[0, 0, 0] = 77.0
    weights[0, 1, 1] = torch.tensor([0.2, 0.6])
    view = View(view.image, view.opacity, weights=weights, distances=distances)
    found = ZVariance(None).penalty(loss_context(view))
    assert float(found) == pytest.approx((0.25 + 0.25 + 0.1875) / 3, rel=1e-5)
    halved = View(view.image, view.opacity, weights=weights / 2, distances=distances)
    assert float(ZVariance(None).penalty(loss_context(halved))) == pytest.approx(float(found), rel=1e-5)


def test_z_variance_of_an_empty_view_is_0_with_a_gradient_of_0():
    weights = torch.zeros(1, SIZE, SIZE, 3, requires_grad=True)
    view = blank(opacity=0.0, weights=weights, distances=torch.full((1, SIZE, SIZE, 3), torch.inf))
    found = ZVariance(None).penalty(loss_context(view))
    found.backward()
    assert found == 0
    assert (weights.grad == 0).all()


def test_normal_smoothness_is_the_mean_square_of_both_differences():
    normals = torch.zeros(1, 4, 4, 3)
    normals[..., 0] = 0.2 * torch.arange(4.0)
    normals[..., 1] = 0.3 * torch.arange(4.0)[:, None]
    found = NormalSmoothness(None).penalty(loss_context(blank(size=4, normals=normals)))
    assert float(found) == pytest.approx((0.04 + 0.09) / 3, rel=1e-5)


@pytest.mark.parametrize("azimuth", [0.0, 130.0])
def test_convexity_likes_a_ball_and_not_a_bowl_from_anywhere(azimuth):
    def cost(**options):
        normals, _ = normals_of(azimuth=azimuth, **options)
        context = loss_context(blank(normals=normals))
        return float(Convexity(Convexity.Config()).penalty(replace(context, cameras=orbit(20.0, azimuth, SIZE))))

    assert cost() < 1e-7
    assert cost(inside_out=True) > 10 * cost(inside_out=True, bulge=0.05) > 0


def test_convexity_of_a_groove_is_the_sine_between_neighbours():
    """All columns turn by one angle, towards each other: each pair costs its sine; rows cost nothing."""
    turn = 0.05 * (torch.arange(8.0) - 3.5)
    own = torch.stack([-turn.sin(), torch.zeros(8), turn.cos()], -1).expand(8, 8, 3)
    world = own @ orbit(20.0, 0.0, 1).camera_to_world[0, :3, :3].T
    found = Convexity(Convexity.Config(size=8)).penalty(loss_context(blank(size=8, normals=world[None])))
    assert float(found) == pytest.approx(math.sin(0.05), rel=1e-4)


def against(component, config, view, mask=1.0):
    picture = Picture(torch.ones(SIZE, SIZE, 3), torch.full((SIZE, SIZE, 1), mask))
    return component(config).penalty(loss_context(None, input=view, picture=picture, acts_on="input"))


@pytest.fixture
def depth():
    generator = torch.Generator().manual_seed(0)
    return 1.5 + torch.rand(1, SIZE, SIZE, 1, generator=generator)


def saved(path, values):
    numpy.save(path, numpy.asarray(values))
    return str(path)


def test_pearson_knows_no_scale_and_no_shift(tmp_path, depth):
    straight = saved(tmp_path / "a.npy", 3 * depth[0, ..., 0] + 7)
    turned = saved(tmp_path / "b.npy", 5 - 2 * depth[0, ..., 0])
    view = blank(depth=depth)
    assert float(against(DepthPrior, DepthPriorConfig(straight), view)) == pytest.approx(0, abs=1e-5)
    assert float(against(DepthPrior, DepthPriorConfig(turned), view)) == pytest.approx(2, abs=1e-5)
    assert float(against(DepthPrior, DepthPriorConfig(turned, disparity=True), view)) == pytest.approx(0, abs=1e-5)


def test_pearson_is_numpys(tmp_path, depth):
    other = numpy.random.default_rng(0).uniform(1, 2, (SIZE, SIZE))
    found = against(DepthPrior, DepthPriorConfig(saved(tmp_path / "a.npy", other)), blank(depth=depth))
    expected = 1 - numpy.corrcoef(depth[0, ..., 0].flatten().numpy(), other.flatten())[0, 1]
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_scale_invariant_is_the_variance_of_log_ratios(tmp_path, depth):
    told = depth[0, ..., 0].clone()
    told[:, : SIZE // 2] *= 2
    options = {"compare": "scale_invariant"}
    view = blank(depth=depth)
    found = against(DepthPrior, DepthPriorConfig(saved(tmp_path / "a.npy", told), **options), view)
    assert float(found) == pytest.approx((math.log(2) / 2) ** 2, rel=1e-4)
    inverse = DepthPriorConfig(saved(tmp_path / "b.npy", 9 / depth[0, ..., 0]), True, **options)
    assert float(against(DepthPrior, inverse, view)) == pytest.approx(0, abs=1e-8)


def test_only_pixels_of_the_object_count(tmp_path, depth):
    told = depth[0, ..., 0].clone()
    told[0] = 50.0
    view = blank(depth=depth)
    view.opacity[0, 0] = 0.1
    config = DepthPriorConfig(saved(tmp_path / "a.npy", told))
    assert float(against(DepthPrior, config, view)) == pytest.approx(0, abs=1e-5)
    assert float(against(DepthPrior, config, view, mask=0.0)) == 0


def test_a_16_bit_png_is_read(tmp_path, depth):
    values = (depth[0, ..., 0] / 4 * 65535).round().numpy().astype(numpy.uint16)
    Image.fromarray(values).save(tmp_path / "depth.png")
    found = against(DepthPrior, DepthPriorConfig(str(tmp_path / "depth.png")), blank(depth=depth))
    assert float(found) == pytest.approx(0, abs=1e-5)


def test_normals_are_compared_in_the_cameras_axes(tmp_path):
    world, own = normals_of()
    view = blank(normals=0.7 * world)
    same = NormalPriorConfig(saved(tmp_path / "a.npy", own))
    opencv = NormalPriorConfig(saved(tmp_path / "b.npy", own * torch.tensor([1.0, -1.0, -1.0])), flip="yz")
    away = NormalPriorConfig(saved(tmp_path / "c.npy", -own))
    assert float(against(NormalPrior, same, view)) == pytest.approx(0, abs=1e-5)
    assert float(against(NormalPrior, opencv, view)) == pytest.approx(0, abs=1e-5)
    assert float(against(NormalPrior, away, view)) == pytest.approx(2, abs=1e-5)
    Image.fromarray(((own + 1) * 127.5).round().numpy().astype(numpy.uint8)).save(tmp_path / "n.png")
    assert float(against(NormalPrior, NormalPriorConfig(str(tmp_path / "n.png")), view)) < 1e-3


BAD = {
    "": None,
    "nowhere.npy": None,
    "text.npy": b"no array",
    "text.png": b"no picture",
    "wide.npy": numpy.ones((4, 8)),
    "cube.npy": numpy.ones((4, 4, 2)),
    "words.npy": numpy.full((4, 4), "a"),
    "objects.npy": numpy.full((4, 4), None),
    "nan.npy": numpy.full((4, 4), numpy.nan),
    "small.npy": numpy.ones((1, 1)),
    "large.npy": numpy.full((4, 4, 3), 7.0),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("config", [DepthPriorConfig, NormalPriorConfig])
def test_what_is_no_map_is_one_line_before_the_run(name, config, tmp_path):
    content = BAD[name]
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        numpy.save(tmp_path / name, content, allow_pickle=True)
    with pytest.raises(ValueError, match=r"^file: .*; ") as caught:
        config(str(tmp_path / name) if name else "")
    assert len(str(caught.value).splitlines()) == 1


def test_an_8_bit_depth_is_refused(tmp_path):
    Image.new("L", (8, 8), 100).save(tmp_path / "depth.png")
    with pytest.raises(ValueError, match="not 16-bit grey"):
        DepthPriorConfig(str(tmp_path / "depth.png"))


@pytest.mark.parametrize("options", [{"compare": "ssim"}])
def test_depth_options_are_refused_by_name(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: "):
        DepthPriorConfig("x.npy", **options)


@pytest.mark.parametrize("flip", ["w", "xx"])
def test_flip_names_axes(flip):
    with pytest.raises(ValueError, match=r"^flip: "):
        NormalPriorConfig("x.npy", flip)
