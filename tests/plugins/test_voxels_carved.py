"""Voxels that are emptied where views disagree and filled where nobody sees."""

import math

import numpy
import pytest
import torch

from zero3d.engine import Optimizer
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.interfaces.component import own_hook
from zero3d.recipe import OptimizerOptions
from zero3d.testing import check_representation, fresh_step
from zero3d_voxels import light
from zero3d_voxels.field import EVERY, KEPT, CarvedVoxelField, VoxelField
from zero3d_voxels.options import VoxelConfig

OPTIONS = {"resolution": 24, "box": 0.75, "density_shift": -6.0, "density_unit": "voxel", "carve": [0.0, 1.0]}


def made(**options):
    field = VoxelField.build(VoxelConfig(**{**OPTIONS, **options}))
    with torch.no_grad():
        field.initialise(fresh_step(0, total=100))
    return field


def put(field, solid, alpha=0.95):
    """Make the voxels of a boolean (X, Y, Z) opaque."""
    with torch.no_grad():
        raw = field.raw_of(-math.log1p(-alpha) / field.spacing)
        field.raw_density[0, 0].permute(2, 1, 0)[solid] = raw


def places(field):
    """(X, Y, Z, 3): the voxels' centres."""
    x, y, z = field.config.sides
    return field._centres().reshape(z, y, x, 3).permute(2, 1, 0, 3)


def densities(field):
    return field.density_of(field.raw_density)[0, 0].permute(2, 1, 0).detach()


def alphas(field):
    return -torch.expm1(-field.spacing * densities(field))


def shell(field, radius=0.5, thickness=0.14, opened=False):
    """A sphere's shell, with the part above 0.3 taken off where it is `opened`."""
    distance = places(field).norm(dim=-1)
    found = (distance <= radius) & (distance > radius - thickness)
    return found & ~(opened & (places(field)[..., 2] > 0.3))


@pytest.mark.parametrize("options", [{}, {"carve": None, "fill_hidden": True}])
def test_a_representation_that_carves_or_fills_keeps_the_kits_laws(options):
    config = VoxelConfig(**{**OPTIONS, "resolution": 8, **options})
    check_representation(lambda: VoxelField.build(config))


def test_a_field_that_does_neither_has_no_hook_to_call():
    assert type(made(carve=None)) is VoxelField
    assert not own_hook(made(carve=None).after_step)
    assert isinstance(made(), CarvedVoxelField)


def test_light_passes_as_the_beer_lambert_law_says():
    """A slab across x, of optical depth density * thickness / |cos|, whatever the direction: all before it, less behind."""
    density = numpy.zeros((8, 9, 10), numpy.float32)
    density[3:5] = 0.7
    edges = numpy.array([0.1, 0.2, 0.3])
    checked = 0
    for direction, (reached, passed) in zip(light._directions(), light.transmittances(density, edges), strict=True):
        along = abs(direction / edges)
        if along.argmax() != 0:
            continue
        across = 0.7 * 0.1 / abs(direction[0])
        front, behind = (reached[5:], reached[:3]) if direction[0] > 0 else (reached[:3], reached[5:])
        assert (front == 1).all()
        numpy.testing.assert_allclose(passed[3:5], math.exp(-across), rtol=1e-5)
        if along[1:].max() < 0.2 * along[0]:  # others come in from the sides, too
            numpy.testing.assert_allclose(behind[:, 4, 5], math.exp(-2 * across), rtol=1e-5)
            checked += 1
    assert checked


def test_what_a_column_is_seen_by_from_the_zenith_adds_up_to_its_opacity(monkeypatch):
    monkeypatch.setattr(light, "_directions", lambda: numpy.array([[0.0, 0.0, 1.0]]))
    monkeypatch.setattr(light, "DIRECTIONS", 1)
    density = numpy.random.default_rng(0).uniform(0, 3, (4, 5, 6)).astype(numpy.float32)
    found = light.mean_weights(density, numpy.array([0.1, 0.2, 0.25]))
    numpy.testing.assert_allclose(found.sum(axis=2), 1 - numpy.exp(-0.25 * density.sum(axis=2)), rtol=1e-5)
    numpy.testing.assert_allclose(found[..., -1], 1 - numpy.exp(-0.25 * density[..., -1]), rtol=1e-5)


def test_directions_are_unit_vectors_from_below_the_horizon_to_the_zenith():
    found = light._directions()
    numpy.testing.assert_allclose(numpy.linalg.norm(found, axis=1), 1)
    assert found[:, 2].min() > math.sin(math.radians(light.LOWEST_DEG)) - 1e-9
    assert found[:, 2].max() > 0.999
    assert numpy.abs(found[:, :2].mean(axis=0)).max() < 0.05


def test_the_inside_of_a_shell_is_filled_and_a_bowl_stays_open():
    field, bowl = made(fill_hidden=True), made(fill_hidden=True)
    put(field, shell(field))
    put(bowl, shell(bowl, opened=True))
    field.fill()
    bowl.fill()
    inside = places(field).norm(dim=-1) < 0.3
    assert float(alphas(field)[inside].min()) == pytest.approx(0.95, abs=1e-3)
    outside = places(field).norm(dim=-1) > 0.56
    assert float(alphas(field)[outside].max()) < 0.01
    hollow = inside & (places(bowl)[..., 2] > -0.1)
    assert float(alphas(bowl)[hollow].max()) < 0.01


def test_fog_in_a_hollow_does_not_hide_it():
    field = made(fill_hidden=True)
    put(field, places(field).norm(dim=-1) < 0.3, alpha=0.1)
    put(field, shell(field, opened=True))
    field.fill()
    hollow = (places(field).norm(dim=-1) < 0.28) & (places(field)[..., 2] > 0)
    assert float(alphas(field)[hollow].max()) == pytest.approx(0.1, abs=1e-3)


def test_what_is_filled_was_hidden_so_that_no_picture_changes():
    field = made(fill_hidden=True)
    put(field, shell(field), alpha=0.999)
    renderer = _volume()
    views = orbit(torch.tensor([20.0, 60.0]), torch.tensor([0.0, 130.0]), 32)
    with torch.no_grad():
        before = renderer.render(field, views, torch.zeros(3)).opacity
        field.fill()
        after = renderer.render(field, views, torch.zeros(3)).opacity
    assert float((before - after).abs().max()) < 0.05


def test_voxels_whose_colour_gradients_fluctuate_are_emptied_and_others_stay():
    """Of a bowl with a lid the lid's gradients change sign from view to view, the bowl's are small."""
    field = made()
    bowl = shell(field, opened=True)
    lid = (places(field)[..., :2].norm(dim=-1) < 0.3) & ((places(field)[..., 2] - 0.3).abs() < 0.07) & ~bowl
    put(field, bowl | lid)
    weight = torch.from_numpy(light.mean_weights(field.spacing * densities(field).numpy(), field._edges()))
    for index in range(EVERY + 1):
        size = torch.where(lid, 0.3, 0.01) * weight * (-1) ** index
        field.raw_features.grad = size.permute(2, 1, 0).expand(1, 3, -1, -1, -1).clone()
        field.after_step(fresh_step(index + 1, total=100), None)
    found = alphas(field)
    assert float(found[bowl].mean()) > 0.85
    assert float(found[lid].mean()) < 0.1
    assert float(found[~(bowl | lid)].max()) < 0.01


def test_gradients_are_remembered_as_a_running_mean_of_squares():
    field = made(carve=[0.9, 1.0])
    expected = torch.zeros_like(field.squares)
    for index in range(5):
        field.raw_features.grad = torch.full_like(field.raw_features, 0.1 * index)
        field.after_step(fresh_step(index, total=100), None)
        expected = KEPT * expected + (1 - KEPT) * (0.1 * index) ** 2
    torch.testing.assert_close(field.squares, expected)
    field.raw_features.grad = None
    field.after_step(fresh_step(5, total=100), None)
    torch.testing.assert_close(field.squares, expected)
    with torch.no_grad():
        field.initialise(fresh_step(0, total=100))
    assert not field.squares.any()


def test_an_empty_field_is_left_alone():
    field = made(fill_hidden=True)
    before = field.raw_density.clone()
    field.carve()
    field.fill()
    assert torch.equal(field.raw_density, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"carve": [0.6, 0.1]}, r"carve: \[0.6, 0.1\]; \[from, until\], shares of the run from 0 to 1, or null"),
        ({"carve": 0.5}, "carve: 0.5; "),
        ({"carve": ["a", 1]}, r"carve: \['a', 1\]; "),
        ({"carve_above": 1.0}, "carve_above: 1.0; above 1"),
        ({"density_unit": "metre"}, "density_unit: 'metre'; one of world, voxel"),
        ({"prune_at": 0.5}, r"prune_at: 0.5; remove it, and prune_below, and write carve: \[0.15, 0.6\]"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        VoxelConfig(**options)


@pytest.mark.parametrize("unit", ["world", "voxel"])
def test_density_is_per_unit_of_length_or_per_voxel(unit):
    field = made(density_unit=unit, carve=None)
    with torch.no_grad():
        field.raw_density.fill_(7.0)
    expected = math.log1p(math.exp(1.0)) / (field.spacing if unit == "voxel" else 1.0)
    found = field.density(torch.zeros(1, 3))
    torch.testing.assert_close(found, torch.full_like(found, expected))
    torch.testing.assert_close(field.raw_of(found), torch.full_like(found, 7.0))


def test_a_field_of_one_unit_follows_one_of_the_other():
    former, field = made(density_unit="world", carve=None), made(carve=None)
    put(former, shell(former))
    with torch.no_grad():
        field.follow(former)
    inner = slice(1, -1)
    torch.testing.assert_close(
        densities(field)[inner, inner, inner].clamp(min=1e-2),
        densities(former)[inner, inner, inner].clamp(min=1e-2),
        rtol=1e-3,
        atol=1e-3,
    )


def test_other_optimizers_say_that_they_share_no_moment():
    field = made(shared_moment=True)
    with pytest.raises(RecipeError, match=r"optimizer.type: 'adan'; adam, for the representation's shared_moment"):
        Optimizer(OptimizerOptions(type="adan"), field)


def test_a_shared_moment_is_adams_with_one_size_for_all_numbers():
    """Held against the two moments written out; features, which share none, against torch's own Adam."""
    field, alone = made(shared_moment=True, resolution=3), made(resolution=3)
    options = OptimizerOptions(lr=0.1, eps=1e-3)
    optimizer, other = Optimizer(options, field), Optimizer(options, alone)
    generator = torch.Generator().manual_seed(0)
    expected = field.raw_density.detach().clone()
    first, second = torch.zeros_like(expected), torch.zeros_like(expected)
    for index in range(4):
        gradient = torch.randn(expected.shape, generator=generator)
        gradient[..., 0] = 0  # never seen: it does not count
        for one in (field, alone):
            one.raw_density.grad = gradient.clone()
            one.raw_features.grad = torch.ones_like(one.raw_features)
            one.log_scale.grad = torch.tensor(0.5)
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        size = (second[second > 0].mean() / (1 - 0.99 ** (index + 1))).sqrt() + 1e-3
        expected -= 0.1 * first / (1 - 0.9 ** (index + 1)) / size
        for each in (optimizer, other):
            each.step(fresh_step(index, total=4))
    torch.testing.assert_close(field.raw_density.detach(), expected)
    assert torch.equal(field.raw_features, alone.raw_features)
    torch.testing.assert_close(field.log_scale, alone.log_scale)
    assert not torch.allclose(field.raw_density, alone.raw_density)


def _volume():
    from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

    return VolumeRenderer(VolumeConfig())
