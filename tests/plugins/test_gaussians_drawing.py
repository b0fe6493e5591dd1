"""Splatting: gsplat's numbers, the dense reference, the kernel against it, and clouds that nobody would want to draw."""

import math
from dataclasses import replace

import numpy
import pytest
import torch

from zero3d.errors import UserError
from zero3d.geometry import orbit, rays
from zero3d.testing import fresh_step
from zero3d.values import Cameras
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig
from zero3d_gaussians.drawing import dense, tiles
from zero3d_gaussians.drawing.projection import harmonics, project, rotations
from zero3d_gaussians.renderer import SplatConfig, SplatRenderer

WHITE = torch.ones(3)
COMPOSITES = {"dense": dense.composite, "tiles": tiles.composite}


@pytest.fixture(scope="module")
def golden():
    """Twelve Gaussians, two cameras, drawn by gsplat's own projection and tiles."""
    with numpy.load("tests/data/gaussians_tiny.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


def golden_cameras(golden):
    return Cameras(golden["camera_to_world_opengl"], 32, 32, math.radians(float(golden["fov_deg"])))


@pytest.mark.parametrize("composite", COMPOSITES.values(), ids=COMPOSITES)
@pytest.mark.parametrize("kind", ["sh0", "sh3", "sh0_antialiased"])
def test_pictures_and_gradients_are_gsplats(golden, composite, kind):
    names = ("means", "quats_wxyz", "scales", "opacities")
    means, quaternions, scales, opacities = leaves = [golden[name].clone().requires_grad_() for name in names]
    sh = golden["sh"][:, : 16 if kind == "sh3" else 1].clone().requires_grad_()
    shift = torch.zeros(2, 12, 2, dtype=torch.float64, requires_grad=True)
    cameras = golden_cameras(golden)
    axes = rotations(quaternions) * scales[:, None]
    ellipses = project(means, axes, opacities, cameras, 0.3, 0.01, kind.endswith("antialiased"), shift)
    towards = torch.nn.functional.normalize(means - cameras.position[:, None], dim=-1)
    colours = (harmonics(sh, towards) + 0.5).clamp(min=0)
    sums, opacity = composite(ellipses, torch.cat([colours, ellipses.z[..., None]], dim=-1), 32, 32)
    image, depth = sums[..., :3] + (1 - opacity) * golden["background"][:, None, None], sums[..., 3:]
    for found, name in ((image, "image"), (opacity, "alpha"), (depth, "depth")):
        assert torch.allclose(found, golden[f"{kind}_{name}"], rtol=0, atol=1e-6), name
    told = [(f * golden[f"cot_{name}"]).sum() for f, name in ((image, "image"), (opacity, "alpha"), (depth, "depth"))]
    sum(told).backward()
    for leaf, name in zip([*leaves, sh, shift], [*names, "sh", "means2d"], strict=True):
        wanted = golden[f"{kind}_grad_{name}"]
        assert torch.allclose(leaf.grad, wanted, rtol=1e-6, atol=1e-6), name
    assert torch.equal(ellipses.radii.int(), golden["radii"])


def made_cloud(count, scale, dtype=torch.float64, seed=0, **options):
    """Random Gaussians of every shape about the origin."""
    cloud = GaussianCloud(GaussiansConfig(points=count, max_count=max(count, 1), **options)).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in cloud.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        cloud.means.copy_(torch.rand(cloud.means.shape, generator=generator, dtype=torch.float64) - 0.5)
        cloud.log_scales.mul_(0.7).add_(math.log(scale))
    return cloud


def drawn(cloud, cameras, config, background=WHITE, step=None):
    """All fields, and the gradients of a random sum of them."""
    renderer = SplatRenderer(SplatConfig(**config))
    cloud.zero_grad()
    view = renderer.render(cloud, cameras, background.to(cloud.means), renderer.provides, step)
    generator = torch.Generator().manual_seed(1)
    fields = view.tensors()
    sum(
        (value * torch.randn(value.shape, generator=generator, dtype=torch.float64)).sum() for value in fields.values()
    ).backward()
    return {**fields, **{name: parameter.grad for name, parameter in cloud.named_parameters()}}


CLOUDS = {
    "few, large": (12, 0.3, {}),
    "many, small": (400, 0.02, {}),
    "smaller than a pixel": (200, 1e-4, {}),
    "one": (1, 0.1, {}),
    "harmonics": (60, 0.05, {"degree": 3}),
    "of a latent": (60, 0.05, {"channels": 4, "degree": 1}),
}


@pytest.mark.parametrize("antialiased", [False, True])
@pytest.mark.parametrize("name", CLOUDS)
def test_the_kernel_draws_as_the_reference(name, antialiased):
    count, scale, options = CLOUDS[name]
    cloud = made_cloud(count, scale, **options)
    cameras = replace(orbit(20.0, torch.tensor([10.0, 130.0]), 37), height=21, fov=torch.tensor([0.8, 0.5]))
    background = torch.rand(2, 5, 5, cloud.channels, generator=torch.Generator().manual_seed(0))
    one, other = (
        drawn(cloud, cameras, {"backend": backend, "antialiased": antialiased}, background)
        for backend in ("torch", "numba")
    )
    assert one.keys() == other.keys()
    for field, value in one.items():
        assert torch.allclose(value, other[field], rtol=1e-9, atol=1e-9 * max(1, float(value.detach().abs().max()))), (
            field
        )
    shows = float(one["opacity"].detach().max()) > 0.01
    assert shows == (not antialiased or scale > 0.01), "antialiased, what is far smaller than a pixel vanishes"


def test_in_single_precision_it_is_as_near_as_that_allows():
    cameras = orbit(20.0, torch.tensor([10.0, 130.0]), 48)
    one = drawn(made_cloud(300, 0.05), cameras, {"backend": "torch"})
    other = drawn(made_cloud(300, 0.05, torch.float32), cameras, {"backend": "numba"})
    for field, value in one.items():
        off = float((value - other[field]).detach().abs().max())
        assert off < 2e-4 * max(1, float(value.detach().abs().max())), field


def test_gradients_are_finite_differences():
    """Of the kernel, without the reference: a few Gaussians in a few pixels, away from its thresholds."""
    cloud, cameras = made_cloud(5, 0.15), orbit(20.0, torch.tensor([10.0, 130.0]), 5)

    def picture(means, log_scales, quaternions, logits, features):
        axes = rotations(quaternions) * log_scales.exp()[:, None]
        ellipses = project(means, axes, logits.sigmoid(), cameras, 0.3, 0.01, False)
        return tiles.composite(ellipses, features.expand(2, -1, -1), 5, 5)

    values = [p.detach().clone() for p in (cloud.means, cloud.log_scales, cloud.quaternions, cloud.opacity_logits)]
    leaves = [value.requires_grad_() for value in [*values, cloud.sh_base.detach()[:, 0]]]
    assert torch.autograd.gradcheck(picture, leaves, eps=1e-6, atol=1e-6, rtol=1e-4, nondet_tol=0.0)


@pytest.mark.parametrize("backend", ["numba", "torch"])
class TestOddClouds:
    CAMERAS = orbit(20.0, torch.tensor([10.0, 130.0]), 16)

    def alone(self, backend, **values):
        """One Gaussian, with these values."""
        cloud = made_cloud(1, 0.1, torch.float32)
        with torch.no_grad():
            for name, value in {"opacity_logits": 5.0, "quaternions": [1.0, 0, 0, 0], **values}.items():
                cloud.get_parameter(name).copy_(torch.tensor(value))
        found = drawn(cloud, self.CAMERAS, {"backend": backend})
        assert all(bool(value.isfinite().all()) for value in found.values())
        return found

    def test_none(self, backend):
        cloud = made_cloud(1, 0.1, torch.float32)
        for parameter in cloud.parameters():
            parameter.data = parameter.data[:0]
        found = drawn(cloud, self.CAMERAS, {"backend": backend})
        assert torch.equal(found["image"], torch.ones(2, 16, 16, 3))
        assert not found["opacity"].any()
        assert torch.equal(found["depth"], torch.full((2, 16, 16, 1), 10.0))

    def test_behind_the_camera_and_at_it(self, backend):
        for share in (1.5, 1.0):
            place = (share * self.CAMERAS.position).tolist()
            found = self.alone(backend, means=[place[0]])
            assert not found["opacity"][0].any()
            assert not found["means"].isnan().any()

    def test_beside_the_frame(self, backend):
        found = self.alone(backend, means=[[0.0, 0.0, 30.0]])
        assert not found["opacity"].any()

    def test_huge(self, backend):
        found = self.alone(backend, log_scales=[[3.0] * 3], means=[[0.0, 0.0, 0.0]])
        assert float(found["opacity"].detach().min()) > 0.99
        far = self.alone(backend, log_scales=[[20.0] * 3], means=[[0.0, 0.0, 0.0]])
        assert far["opacity"].shape == (2, 16, 16, 1)

    def test_tiny(self, backend):
        found = self.alone(backend, log_scales=[[-30.0] * 3], means=[[0.0, 0.0, 0.0]])
        assert 0.3 < float(found["opacity"].detach().max()) < 0.9, "`blur` keeps it as large as a pixel"

    def test_invisible(self, backend):
        found = self.alone(backend, opacity_logits=-9.0, means=[[0.0, 0.0, 0.0]])
        assert not found["opacity"].any()


def test_depth_is_the_distance_along_each_ray():
    """A wall of flat Gaussians across the view."""
    cloud = made_cloud(400, 0.05)
    y, z = torch.meshgrid(torch.linspace(-1.5, 1.5, 20), torch.linspace(-1.5, 1.5, 20), indexing="ij")
    with torch.no_grad():
        cloud.means.copy_(torch.stack([torch.zeros(400), y.reshape(-1), z.reshape(-1)], dim=-1))
        cloud.log_scales.copy_(torch.tensor([0.001, 0.15, 0.15]).log().expand(400, 3))
        cloud.quaternions.copy_(torch.tensor([1.0, 0, 0, 0]).expand(400, 4))
        cloud.opacity_logits.fill_(6.0)
    cameras = replace(orbit(0.0, 0.0, 16), fov=1.2)
    renderer = SplatRenderer(SplatConfig())
    view = renderer.render(cloud, cameras, WHITE, renderer.provides)
    origins, directions = rays(cameras)
    true = (-origins / directions)[..., :1]
    found = (view.depth - (1 - view.opacity) * 10) / view.opacity
    assert torch.allclose(found.float(), true, atol=1e-3)
    assert torch.allclose(view.normals, view.opacity * torch.tensor([1.0, 0, 0]).double(), atol=1e-6)


def test_gradients_do_not_depend_on_the_number_of_threads(monkeypatch):
    cloud, cameras = made_cloud(200, 0.05, torch.float32), orbit(20.0, torch.tensor([10.0, 130.0]), 40)
    found = []
    for count in (1, 3):
        monkeypatch.setattr(tiles, "threads", lambda count=count: count)
        found.append(drawn(cloud, cameras, {"backend": "numba"}))
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_exact_pictures_end_at_white_and_optimised_ones_do_not():
    cloud = made_cloud(30, 0.2, torch.float32)
    with torch.no_grad():
        cloud.sh_base.fill_(4.0)
    renderer, cameras = SplatRenderer(SplatConfig()), orbit(20.0, 10.0, 16)
    assert float(renderer.render(cloud, cameras, WHITE).image.detach().max()) == 1
    assert float(renderer.render(cloud, cameras, WHITE, step=fresh_step()).image.detach().max()) > 1.3


@pytest.mark.parametrize("composite", COMPOSITES.values(), ids=COMPOSITES)
def test_absolute_gradients_are_sums_over_the_pixels(composite):
    """Of each pixel's own gradient, asked one at a time."""
    cloud, cameras = made_cloud(6, 0.1), orbit(20.0, 10.0, 7)
    features = torch.rand(1, 6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def picture():
        leaves = [torch.zeros(1, 6, 2, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        ellipses = project(cloud.means, cloud.axes(), cloud.opacities(), cameras, 0.3, 0.01, False, leaves[0])
        sums, _ = composite(ellipses, features, 7, 7, leaves[1])
        return sums, leaves

    told = torch.randn(1, 7, 7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    sums, (shift, absolute) = picture()
    (sums * told).sum().backward()
    parts = []
    for row in range(7):
        for column in range(7):
            sums, (one, _) = picture()
            parts.append(torch.autograd.grad((sums * told)[0, row, column].sum(), one)[0])
    assert torch.allclose(sum(parts), shift.grad, atol=1e-12)
    assert torch.allclose(sum(part.abs() for part in parts), absolute.grad, atol=1e-12)


def test_too_many_for_no_kernel_is_one_line(monkeypatch):
    monkeypatch.setattr("zero3d_gaussians.renderer.MOST_PAIRS", 100)
    with pytest.raises(UserError, match=r"renderer: 6 Gaussians at 7x7 pixels.*zero3d\[gsplat\]"):
        SplatRenderer(SplatConfig(backend="torch")).render(made_cloud(6, 0.1), orbit(20.0, 10.0, 7), WHITE)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"near": 0.0}, "near: 0.0; 1e-4 to 10"),
        ({"blur": -1.0}, "blur: -1.0; 0 to 10"),
        ({"far": 0.0}, "far: 0.0; above 0"),
        ({"backend": "cuda"}, "backend: 'cuda'; one of auto, numba, torch, gsplat"),
        ({"backend": "gsplat"}, "backend: gsplat needs a CUDA device"),
    ],
)
def test_options_out_of_range(options, told):
    with pytest.raises(ValueError, match=told):
        SplatConfig(**options)
