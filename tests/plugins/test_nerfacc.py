"""The nerfacc renderer: against `volume`, against closed forms, and its march against the rule of nerfacc's kernel."""

import copy
import itertools
import math

import numpy
import pytest
import torch

from zero3d.cli import main
from zero3d.geometry import look_at, orbit, rays
from zero3d.interfaces import RadianceField
from zero3d.testing import SphereField, check_renderer, fresh_step
from zero3d.testing.sphere import SphereConfig
from zero3d.values import Cameras
from zero3d_nerfacc import renderer as renderers
from zero3d_nerfacc.marching import march, occupied_cells
from zero3d_nerfacc.renderer import NerfaccConfig, NerfaccRenderer
from zero3d_ngp.field import HashGridConfig, HashGridField
from zero3d_voxels.field import VoxelField
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

EVERYTHING = frozenset({"depth", "weights"})
GREY = torch.tensor([0.4, 0.5, 0.6])
TWO = orbit(20.0, torch.tensor([10.0, 130.0]), 12)


def made(**options):
    return NerfaccRenderer(NerfaccConfig(**options))


def voxels(**options):
    field = VoxelField(VoxelConfig(**{"resolution": 7, **options}))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        field.raw_density.normal_(std=2, generator=generator)
        field.raw_features.normal_(generator=generator)
    return field


def hash_grid():
    options = {"levels": 2, "base_resolution": 4, "finest_resolution": 12, "table_log2": 8, "hidden": 8, "detail": 16}
    field = HashGridField(HashGridConfig(**options))
    with torch.no_grad():
        field.initialise(fresh_step())
        field.encoding.table.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    return field


class Cloud(RadianceField):
    """Density peak exp(-|x - middle|^2 / (2 width^2)), whose normals and integrals are known."""

    name, channels, spacing = "cloud", 3, 0.02

    def __init__(self, peak, width, middle=(0.0, 0.0, 0.0)):
        super().__init__(None)
        self.register_buffer("box", torch.tensor([[-0.8] * 3, [0.8] * 3]))
        self.register_buffer("middle", torch.tensor(middle))
        self.width = width
        self.peak = torch.nn.Parameter(torch.tensor(peak))
        self.asked = 0

    def initialise(self, step):
        pass

    def density(self, points):
        self.asked += len(points)
        inside = (points.abs() <= 0.8).all(dim=-1)
        return self.peak * torch.exp(-(points - self.middle).square().sum(-1) / (2 * self.width**2)) * inside

    def features(self, points):
        return torch.full((len(points), 3), 0.25)


@pytest.mark.parametrize("options", [{}, {"tolerance": 0.0, "step_ratio": 1.0}, {"cells": 3, "weight_threshold": 0.0}])
def test_it_conforms(options):
    for field in (voxels(channels=4), hash_grid()):
        check_renderer(made(**options), field, torch.ones(field.channels))


@pytest.mark.parametrize(
    "field",
    [voxels(), voxels(channels=4, box=[[-1.0, -0.5, 0.0], [1.0, 0.7, 0.4]]), hash_grid(), SphereField(SphereConfig())],
)
def test_values_and_gradients_are_those_of_volume(field):
    """Where nothing is passed over and both draw the same random shift."""
    background, told, found = torch.full((field.channels,), 0.3), {}, {}
    options = {"jitter": True, "weight_threshold": 0.0}
    for renderer, kept in (
        (made(tolerance=0.0, **options), told),
        (VolumeRenderer(VolumeConfig(**options)), found),
    ):
        own = copy.deepcopy(field)
        view = renderer.render(own, TWO, background, EVERYTHING, fresh_step())
        kept.update({name: getattr(view, name).detach() for name in ("image", "opacity", "depth")})
        kept["emptiness"] = (1 + 10 * view.weights).log().sum().detach()
        (view.image.square().sum() + view.depth.sum() + (1 + 10 * view.weights).log().sum()).backward()
        kept.update({name: parameter.grad for name, parameter in own.named_parameters()})
    assert told.keys() == found.keys()
    for name, value in found.items():
        assert (told[name] - value).abs().max() <= 2e-5 * max(1.0, float(value.abs().max())), name


def scalar_march(origin, direction, low, high, cells, size, near, far):
    """nerfacc 0.5.3, traverse_grids_kernel, for one ray and one grid: from cell to cell, each step in its turn."""
    count = numpy.array(cells.shape)
    enters, leaves = numpy.sort(numpy.stack([(low - origin) / direction, (high - origin) / direction]), axis=0)
    begin, end = max(enters.max(), near), min(leaves.min(), far)
    if begin >= end:
        return []
    planes = [low[a] + (high[a] - low[a]) * numpy.arange(count[a] + 1) / count[a] for a in range(3)]
    crossings = numpy.concatenate([(planes[a] - origin[a]) / direction[a] for a in range(3)])
    stops = [begin, *sorted(t for t in crossings if begin < t < end), end]
    last, found = near, []
    while last + size / 2 < begin:
        last += size
    for into, out in itertools.pairwise(stops):
        place = (origin + (into + out) / 2 * direction - low) / (high - low) * count
        filled = cells[tuple(place.astype(int).clip(0, count - 1))]
        while last + size / 2 < out:
            if filled:
                found.append(last + size / 2)
            last += size
    return found


def test_the_march_is_that_of_the_kernel():
    generator = torch.Generator().manual_seed(1)
    box = torch.tensor([[-1.0, -0.5, -0.2], [0.8, 0.7, 0.9]], dtype=torch.float64)
    cells = torch.rand(5, 4, 6, generator=generator) < 0.5
    eye = torch.tensor([[1.5, 1.0, 0.8], [0.1, 0.1, 0.1]], dtype=torch.float64)  # outside, and in the box
    origins, directions = (part.reshape(-1, 3) for part in rays(Cameras(look_at(eye), 6, 6, 1.2)))
    shift = torch.rand(len(origins), generator=generator).double()
    samples = march(origins, directions, box, cells, 0.07, shift, kernel=False)
    total = 0
    for ray in range(len(origins)):
        one = (origins[ray].numpy(), directions[ray].numpy(), box[0].numpy(), box[1].numpy(), cells.numpy())
        expected = scalar_march(*one, 0.07, float(samples.start[ray]), 10.0)
        assert samples.middle[samples.ray == ray].tolist() == pytest.approx(expected, abs=1e-9), ray
        total += len(expected)
    assert total > 150
    assert (samples.ray.diff() >= 0).all(), "ray by ray"


def test_what_is_passed_over_is_no_more_than_the_tolerance():
    field = Cloud(40.0, 0.08, (0.3, -0.2, 0.1))
    cameras = orbit(20.0, torch.tensor([0.0, 100.0]), 24)
    whole, asked = made(tolerance=0.0).render(field, cameras, GREY), field.asked
    field.asked = 0
    for tolerance in (1e-3, 0.02):
        short = made(tolerance=tolerance, cells=24).render(field, cameras, GREY)
        apart = (short.opacity - whole.opacity).abs().max()
        assert apart < tolerance
    assert field.asked < asked, "two short renders, maps included, ask less than the whole one"


def test_a_cell_is_empty_where_no_middle_around_it_is_dense():
    field = SphereField(SphereConfig(radius=0.3, density=5.0, box=0.75, spacing=0.1))
    cells = occupied_cells(field, 64, 1e-3)
    assert cells.shape == (15, 15, 15), "one cell for each detail"
    middle = (torch.arange(15) + 0.5) / 15 * 1.5 - 0.75
    x, y, z = torch.meshgrid(middle, middle, middle, indexing="ij")
    distance = (x**2 + y**2 + z**2).sqrt()
    assert cells[distance < 0.3].all()
    assert not cells[distance > 0.3 + 0.1 * math.sqrt(3)].any()
    assert occupied_cells(field, 4, 1e-3).shape == (4, 4, 4)
    assert occupied_cells(field, 64, 0.0).all()
    flat = VoxelField(VoxelConfig(resolution=[8, 4, 2], box=[[-1.0, -0.5, 0.0], [1.0, 0.5, 0.5]]))
    assert occupied_cells(flat, 64, 1e-3).shape == (8, 4, 2)


def test_an_empty_field_and_rays_that_miss_show_the_background():
    eye = torch.tensor([[2.0, 1.0, 0.5]])
    for field, cameras in ((Cloud(0.0, 0.1), TWO), (Cloud(9.0, 0.3), Cameras(look_at(eye, 2 * eye), 5, 5))):
        view = made().render(field, cameras, GREY, made().provides)
        assert torch.equal(view.image, GREY.expand_as(view.image))
        assert not view.opacity.any()
        assert not view.normals.any()
        assert (view.depth == 10).all()


def test_the_middle_of_a_cloud_absorbs_as_much_as_its_integral():
    field = Cloud(6.0, 0.1)
    view = (
        made(tolerance=0.0, step_ratio=0.25, weight_threshold=0.0)
        .render(field, Cameras(look_at(torch.tensor([[2.0, 0.0, 0.0]])), 1, 1), GREY)
        .detach()
    )
    assert float(view.opacity) == pytest.approx(1 - math.exp(-6.0 * 0.1 * math.sqrt(2 * math.pi)), rel=1e-4)
    assert torch.allclose(view.image, 0.25 * view.opacity + (1 - view.opacity) * GREY, atol=1e-6)


def test_normals_point_out_of_the_object():
    field = Cloud(3000.0, 0.12)  # opaque long before its middle
    cameras = orbit(15.0, torch.tensor([20.0, 200.0]), 24)
    view = made().render(field, cameras, GREY, frozenset({"normals"}))
    assert view.weights is None
    origins, directions = rays(cameras)
    along = view.depth - 10 * (1 - view.opacity)
    solid = (view.opacity > 0.999)[..., 0]
    assert solid.sum() > 50
    outward = torch.nn.functional.normalize((origins + along * directions)[solid], dim=-1)
    assert (outward * view.normals[solid]).sum(-1).min() > 0.98
    assert (view.normals.norm(dim=-1) <= view.opacity[..., 0] + 1e-5).all()
    assert made().render(field, cameras, GREY).normals is None


def test_it_keeps_nothing_between_two_renders():
    """So that a resumed run goes on as the one that was cut short."""
    renderer, field = made(jitter=True), voxels()
    first = renderer.render(field, TWO, GREY, step=fresh_step()).image
    other = voxels(density_shift=-9.0)
    renderer.render(other, TWO, GREY, step=fresh_step())
    assert torch.equal(first, renderer.render(field, TWO, GREY, step=fresh_step()).image)
    assert set(vars(renderer)) == {"config"}


def test_a_picture_as_background_is_resized():
    background = torch.rand(3, 3, 3, generator=torch.Generator().manual_seed(0))
    plain = VolumeRenderer(VolumeConfig()).render(Cloud(0.0, 0.1), TWO, background)
    assert torch.equal(made().render(Cloud(0.0, 0.1), TWO, background).image, plain.image)


def test_memory_is_estimated_without_data():
    with torch.device("meta"):
        sketch = VoxelField(VoxelConfig(resolution=64))
    real = VoxelField(VoxelConfig(resolution=64))
    assert made().memory_bytes(sketch, 4096) == made().memory_bytes(real, 4096) == 4096 * 80 * 128


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step_ratio": 0.0}, "step_ratio: 0.0; 0.05 to 4"),
        ({"weight_threshold": 0.5}, "weight_threshold: 0.5; 0 to"),
        ({"far": 0.0}, "far: 0.0; above 0"),
        ({"cells": 0}, "cells: 0; 1 to 512"),
        ({"tolerance": 0.2}, "tolerance: 0.2; 0 to 0.1"),
        ({"backend": "cpu"}, "one of auto, torch, cuda"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        NerfaccConfig(**options)


@pytest.mark.parametrize(
    ("missing", "option", "said"),
    [
        ("has_nerfacc", "type: nerfacc", "renderer.type: nerfacc is not installed: pip install 'zero3d[nerfacc]'"),
        ("has_kernels", "type: nerfacc, backend: cuda", "renderer.backend: nerfacc's kernels need a CUDA device"),
    ],
)
def test_where_it_cannot_run_one_line_says_so_before_the_run(missing, option, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(renderers, missing, lambda: False)
    out = tmp_path / "run"
    words = ["run", "recipes/nano.yaml", "image=examples/mug.png", f"out={out}", f"renderer={{{option}}}", "device=cpu"]
    assert main(words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert said in line
    assert "renderer.type=volume" in line
    assert not out.exists()


@pytest.mark.skipif(not renderers.has_kernels(), reason="nerfacc's kernels need CUDA and nvcc")
def test_the_kernels_draw_what_pytorch_draws():
    cameras, found = TWO.to("cuda"), {}
    for backend in ("cuda", "torch"):
        field = voxels(resolution=24).to("cuda")
        view = made(backend=backend).render(field, cameras, GREY.to("cuda"), made().provides)
        (view.image.square().sum() + view.depth.sum() + view.weights.square().sum()).backward()
        found[backend] = [view.image, view.opacity, view.depth, view.normals, field.raw_density.grad]
    for one, other in zip(*found.values(), strict=True):
        assert (one - other).abs().max() < 2e-3 * max(1.0, float(other.abs().max()))
