"""The signed distance field: densities against quadrature and their papers' forms, starts, rendering, the eikonal term."""

import math

import pytest
import torch

from zero3d.errors import UserError
from zero3d.geometry import orbit
from zero3d.interfaces import ExportSubject
from zero3d.testing import SphereField, fresh_step, loss_context
from zero3d.testing.sphere import SphereConfig
from zero3d.values import View
from zero3d_mesh.marching_cubes import MarchingCubes, MarchingCubesConfig
from zero3d_sdf.density import density_of
from zero3d_sdf.eikonal import Eikonal
from zero3d_sdf.field import SDFConfig, SDFField
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer


def ball(**options):
    field = SDFField(SDFConfig(**{"resolution": 32, **options}))
    with torch.no_grad():
        field.initialise(fresh_step())
    return field


def penalty(field):
    view = torch.zeros(1, 2, 2, 3)
    context = loss_context(View(view, view[..., :1]), representation=field)
    return Eikonal(Eikonal.Config(points=2000)).penalty(context)


def test_volsdf_is_the_laplace_distributions():
    distance, width = torch.linspace(-1, 1, 41, dtype=torch.float64), torch.tensor(0.1, dtype=torch.float64)
    expected = torch.distributions.Laplace(torch.zeros((), dtype=torch.float64), width).cdf(-distance) / width
    assert torch.allclose(density_of(distance, width, "volsdf"), expected, rtol=1e-10)


def test_neus_is_the_opaque_density_of_a_ray_that_meets_the_surface_head_on():
    t = torch.linspace(-0.5, 0.5, 51, dtype=torch.float64, requires_grad=True)
    width = torch.tensor(0.07, dtype=torch.float64)
    phi = torch.sigmoid(-t / width)  # the distance falls by one a unit
    (slope,) = torch.autograd.grad(phi.sum(), t)
    assert torch.allclose(density_of(-t.detach(), width, "neus"), (-slope / phi).detach(), rtol=1e-9)


@pytest.mark.parametrize("kind", ["volsdf", "neus"])
def test_half_of_the_most_is_on_the_surface_and_gradients_are_finite(kind):
    distance = torch.tensor([-50.0, 0.0, 50.0], requires_grad=True)
    width = torch.tensor(0.02, requires_grad=True)
    found = density_of(distance, width, kind)
    assert torch.allclose(found, torch.tensor([50.0, 25.0, 0.0]), atol=1e-5)
    found.sum().backward()
    assert torch.isfinite(distance.grad).all()
    assert torch.isfinite(width.grad)


def test_it_begins_as_a_ball():
    field = ball(radius=0.5)
    points = torch.randn(500, 3, generator=torch.Generator().manual_seed(0)).clamp(-2.5, 2.5) / 3
    points = points[points.norm(dim=-1) > 0.3]  # towards the tip of the cone the grid rounds it
    expected = points.norm(dim=-1) - 0.5
    assert torch.allclose(field.signed_distance(points), expected, atol=5e-3)
    assert (field.density(torch.tensor([[1.1, 0, 0], [0, 0, -1.01]])) == 0).all()


def test_eikonal_of_a_distance_is_0_and_of_a_stretched_one_the_square():
    field = ball()
    assert float(penalty(field).detach()) < 2e-3
    with torch.no_grad():
        field.raw_distance.mul_(3)
    assert float(penalty(field).detach()) == pytest.approx(4, rel=0.02)


def test_eikonal_mends_a_field_that_is_no_distance():
    field = ball(resolution=16)
    with torch.no_grad():
        field.raw_distance.mul_(2)
    optimizer, first = torch.optim.Adam([field.raw_distance], 0.05), float(penalty(field).detach())
    for _ in range(60):
        optimizer.zero_grad()
        penalty(field).backward()
        optimizer.step()
    assert float(penalty(field).detach()) < 0.2 * first


@pytest.mark.parametrize("threshold", [0.0, 20.0])
def test_it_follows_another_field(threshold):
    former = SphereField(SphereConfig(radius=0.5, density=40.0, colour=[0.8, 0.3, 0.2]))
    field = ball(threshold=threshold, radius=0.1)
    with torch.no_grad():
        field.follow(former)
    points = torch.randn(300, 3, generator=torch.Generator().manual_seed(0))
    points = torch.nn.functional.normalize(points, dim=-1) * torch.linspace(0.2, 0.9, 300)[:, None]
    assert torch.allclose(field.signed_distance(points), points.norm(dim=-1) - 0.5, atol=field.spacing)
    assert torch.allclose(field.features(points), torch.tensor([0.8, 0.3, 0.2]), atol=0.02)


def test_one_of_the_same_options_takes_the_numbers():
    former, field = ball(radius=0.3), ball()
    with torch.no_grad():
        field.follow(former)
    assert torch.equal(field.raw_distance, former.raw_distance)


def test_a_field_without_a_surface_is_refused_in_one_line():
    former = SphereField(SphereConfig(density=0.5))
    with (
        pytest.raises(UserError, match=r"^representation\.threshold: .* none of the former field") as caught,
        torch.no_grad(),
    ):
        ball().follow(former)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "options",
    [{"resolution": 2}, {"box": 0.0}, {"density": "sphere"}, {"width": 0.0}, {"radius": 2.0}, {"threshold": -1.0}],
)
def test_options_out_of_range_are_refused_by_name(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: "):
        SDFConfig(**options)


@pytest.mark.parametrize("kind", ["volsdf", "neus"])
def test_a_ball_with_a_thin_surface_is_opaque(kind):
    """By quadrature along a ray through its middle."""
    field = ball(density=kind, width=0.02)
    t = torch.linspace(-1, 1, 2001)
    points = torch.stack([t, 0 * t, 0 * t], -1)
    optical = float(torch.trapezoid(field.density(points).detach(), t))
    assert 1 - math.exp(-optical) > 0.999


def test_exporters_cut_where_the_distance_is_zero(tmp_path):
    field = ball(radius=0.3, width=0.08)
    cubes = MarchingCubes(MarchingCubesConfig(resolution=48))
    draw = VolumeRenderer(VolumeConfig())
    subject = ExportSubject(
        representation=field,
        draw=lambda cameras: draw.render(field, cameras, torch.ones(3)),
        decode=lambda image: image,
        decodes_pixelwise=True,
        input_camera=orbit(0.0, 0.0, 32),
        resolution=32,
    )
    report = cubes.export(subject, tmp_path / "ball.glb")
    assert report["threshold"] == pytest.approx(1 / (2 * 0.08), rel=1e-3)
    assert report["volume"] == pytest.approx(4 / 3 * torch.pi * 0.3**3, rel=0.05)  # cells are 1/16 wide
