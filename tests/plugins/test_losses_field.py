"""Terms on the grid of a field: closed forms on fields of known density; voxels' own numbers; blocks of a fine field."""

import math

import numpy
import pytest
import torch

from zero3d.testing import SphereField, fresh_step, loss_context
from zero3d.testing.sphere import SphereConfig
from zero3d.values import View
from zero3d_losses.field.area_tv import AreaTV
from zero3d_losses.field.colour_tv import ColourTV
from zero3d_losses.field.density_tv import DensityTV
from zero3d_losses.field.grid import cell_axes, points_of
from zero3d_losses.field.normal_smoothness_3d import NormalSmoothness3D
from zero3d_losses.field.normal_tv import NormalTV
from zero3d_voxels.field import VoxelField
from zero3d_voxels.options import VoxelConfig


class Told(SphereField):
    """A field of any density and colour, in float64."""

    def __init__(self, density, features=None, box=0.5, spacing=0.125):
        super().__init__(SphereConfig(box=box, spacing=spacing))
        self.double()
        self.density = density
        self.features = features or (lambda points: torch.zeros(len(points), 3, dtype=points.dtype))


def penalty(component, field, **options):
    view = torch.zeros(1, 2, 2, 3)
    context = loss_context(View(view, view[..., :1]), representation=field)
    return component(component.Config(**options)).penalty(context)


def wall(points, alpha=1.0, spacing=0.125):
    """Solid where x > 0, of that alpha a cell."""
    density = -math.log(1 - min(alpha, 1 - 1e-12)) / spacing
    return density * (points[:, 0] > 0).to(points)


def test_cells_are_read_at_the_voxels_middles():
    field = VoxelField(VoxelConfig(resolution=[4, 6, 8], box=[[-1, -0.5, 0], [1.0, 2.5, 4.0]]))
    points = points_of(cell_axes(field, 64, torch.Generator()))
    assert points.shape == (4, 6, 8, 3)
    assert torch.allclose(points[0, 0, 0], torch.tensor([-0.75, -0.25, 0.25]))
    with torch.no_grad():
        field.initialise(fresh_step())
        field.raw_density.normal_(generator=torch.Generator().manual_seed(0))
    own = torch.nn.functional.softplus(field.raw_density[0, 0] + field.config.density_shift).permute(2, 1, 0)
    assert torch.allclose(field.density(points.reshape(-1, 3)).reshape(4, 6, 8), own, rtol=1e-4, atol=1e-5)


def test_a_finer_field_is_read_in_blocks_that_move():
    field = Told(wall, spacing=0.01)
    generator = torch.Generator().manual_seed(0)
    blocks = [points_of(cell_axes(field, 8, generator)) for _ in range(20)]
    assert all(block.shape == (8, 8, 8, 3) for block in blocks)
    assert all(bool((block.abs() < 0.5).all()) for block in blocks)
    assert len({tuple(block[0, 0, 0].tolist()) for block in blocks}) == 20


def test_density_tv_is_the_mean_squared_difference_of_voxels_own_numbers():
    field = VoxelField(VoxelConfig(resolution=6))
    with torch.no_grad():
        field.initialise(fresh_step())
        field.raw_density.normal_(std=3, generator=torch.Generator().manual_seed(0))
    raw = field.raw_density.detach()[0, 0].double()
    squares = torch.cat([raw.diff(dim=axis).square().flatten() for axis in (0, 1, 2)])
    assert float(penalty(DensityTV, field).detach()) == pytest.approx(float(squares.mean()), rel=1e-3)


def test_density_tv_has_finite_gradients_where_there_is_nothing_or_much():
    for raw in (-80.0, 80.0):
        field = VoxelField(VoxelConfig(resolution=4))
        with torch.no_grad():
            field.initialise(fresh_step())
            field.raw_density.fill_(raw)
            field.raw_density[0, 0, 0].add_(1)
        found = penalty(DensityTV, field)
        found.backward()
        assert torch.isfinite(found)
        assert torch.isfinite(field.raw_density.grad).all()


def test_area_tv_of_a_wall_is_its_area_in_cells():
    """One of seven layers of cells holds a step of length alpha."""
    for alpha in (0.25, 1.0):
        found = penalty(AreaTV, Told(lambda p, alpha=alpha: wall(p, alpha)))
        assert float(found) == pytest.approx(alpha / 7, rel=1e-3)


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
@pytest.mark.parametrize("hollow", [False, True])
def test_normal_tv_leaves_a_flat_wall_alone_and_counts_an_edge_from_every_side(signs, hollow):
    """At the edge g = (1/2, 1/2, 0), beside it (1, 0, 0) and (0, 1, 0): two pairs in each of seven layers."""
    assert float(penalty(NormalTV, Told(wall))) < 1e-6

    def edge(points):
        inside = ((points[:, :2] * torch.tensor(signs)) > 0).all(dim=-1)
        return wall(torch.where(inside ^ hollow, 1.0, -1.0)[:, None].to(points))

    one = math.sqrt(0.5) * (2 - math.sqrt(2))
    assert float(penalty(NormalTV, Told(edge))) == pytest.approx(7 * 2 * one / (3 * 6 * 7 * 7), rel=2e-3)


def test_colour_tv_counts_the_object_alone():
    """Colours grow by 0.1 a cell along z; where nothing is they jump, which costs nothing."""

    def features(points):
        jump = torch.where(points[:, 0] > 0, 0.0, 5.0 * torch.sign(points[:, 1]))
        return torch.stack([0.1 * points[:, 2] / 0.125, jump, jump], -1)

    found = penalty(ColourTV, Told(wall, features))
    pairs = 4 * 8 * 7  # of neighbours along z; x has 3 * 64 inside, y as many as z
    assert float(found) == pytest.approx(pairs * 0.01 / (2 * pairs + 3 * 64), rel=1e-4)
    assert float(penalty(ColourTV, Told(lambda p: 0 * p[:, 0], features))) == 0


def test_colour_tvs_gradient_is_that_of_its_value_and_leaves_density_alone():
    """Against the formula in numpy, and along a random direction against central differences."""
    field = VoxelField(VoxelConfig(resolution=5)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        field.raw_density.normal_(std=3, generator=generator)
        field.raw_features.normal_(generator=generator)
    towards = torch.randn(field.raw_features.shape, generator=generator, dtype=torch.float64)
    penalty(ColourTV, field).backward()
    slope, ends = float((field.raw_features.grad * towards).sum()), []
    for step in (1e-5, -2e-5):
        with torch.no_grad():
            field.raw_features += step * towards
        ends.append(float(penalty(ColourTV, field).detach()))
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)
    assert field.raw_density.grad is None or not field.raw_density.grad.any()

    with torch.no_grad():
        points = points_of(cell_axes(field, 64, torch.Generator())).reshape(-1, 3)
        alpha = (1 - torch.exp(-field.density(points) * field.spacing)).numpy().reshape(5, 5, 5)
        colour = field.features(points).numpy().reshape(5, 5, 5, 3)
    above = below = 0.0
    for axis in range(3):
        one, other = (numpy.take(alpha, range(k, 4 + k), axis) for k in (0, 1))
        change = (numpy.diff(colour, axis=axis) ** 2).sum(axis=-1)
        above, below = above + (numpy.minimum(one, other) * change).sum(), below + numpy.minimum(one, other).sum()
    assert ends[1] == pytest.approx(above / below, rel=1e-6)


def test_normal_smoothness_3d_is_content_with_a_slope_and_grows_with_the_curvature():
    slope = Told(lambda p: 20 + 10 * p[:, 0] + 5 * p[:, 2])
    assert float(penalty(NormalSmoothness3D, slope, points=512)) < 1e-9
    found = [
        float(penalty(NormalSmoothness3D, Told(lambda p, r=r: torch.sigmoid((r - p.norm(dim=-1)) * 40) * 20)))
        for r in (0.1, 0.2, 0.4)
    ]
    assert found[0] > 1.2 * found[1] > 1.2 * 1.2 * found[2] > 0


@pytest.mark.parametrize(
    ("component", "options"),
    [(AreaTV, {"cells": 2}), (NormalSmoothness3D, {"points": 0}), (NormalSmoothness3D, {"reach": 0.0})],
)
def test_options_out_of_range_are_refused_by_name(component, options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: "):
        component.Config(**options)
