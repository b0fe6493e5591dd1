"""Voxels that are emptied in the middle of a run, by closed forms and by the engine's own steps."""

import pytest
import torch

from zero3d.engine import Optimizer
from zero3d.interfaces.component import own_hook
from zero3d.recipe import OptimizerOptions
from zero3d.testing import check_representation, fresh_step
from zero3d_voxels.field import PrunedVoxelField, VoxelField
from zero3d_voxels.options import VoxelConfig

OPTIONS = {"resolution": 8, "box": 0.5, "density_shift": -4.0, "density_gain": 10.0, "prune_at": 0.5}


def of_alphas(alphas, **options):
    """A field whose voxels along x have these alphas, over a voxel's side."""
    field = VoxelField.build(VoxelConfig(**{**OPTIONS, **options}))
    density = -torch.log1p(-torch.tensor(alphas, dtype=torch.float64)) / field.spacing
    raw = (torch.log(torch.expm1(density)) - field.config.density_shift) / field.config.density_gain
    with torch.no_grad():
        field.raw_density.copy_(raw.expand(1, 1, 8, 8, 8))
        field.raw_features.fill_(3.0)
    return field


def density_along_x(field):
    return field.lattice_density([field._centres()[:8, 0], torch.tensor([0.0625]), torch.tensor([0.0625])])[:, 0, 0]


def test_a_representation_that_prunes_keeps_the_kits_laws():
    check_representation(lambda: VoxelField.build(VoxelConfig(**OPTIONS)))


def test_a_field_that_never_prunes_has_no_hook_to_call():
    assert type(VoxelField.build(VoxelConfig(resolution=8))) is VoxelField
    assert not own_hook(VoxelField.build(VoxelConfig(resolution=8)).after_step)
    assert isinstance(VoxelField.build(VoxelConfig(**OPTIONS)), PrunedVoxelField)


@pytest.mark.parametrize(("below", "stay"), [(0.5, 4), (1.0, 3)])
def test_what_is_thinner_than_a_share_of_the_typical_alpha_is_emptied(below, stay):
    """Typical: sum of squares over sum, here 0.0566 / 0.49 = 0.1155."""
    alphas = [0.01, 0.01, 0.02, 0.03, 0.1, 0.12, 0.1, 0.13]
    typical = sum(a * a for a in alphas) / sum(alphas)
    expected = [a for a in alphas if a >= below * typical]
    field = of_alphas(alphas, prune_below=below)
    field.prune()
    density = density_along_x(field).detach()
    thick = density > 1e-3
    assert int(thick.sum()) == len(expected)
    assert float(density[~thick].max()) < 1e-6
    torch.testing.assert_close(
        density[thick], -torch.log1p(-torch.tensor(expected)) / field.spacing, rtol=1e-4, atol=1e-5
    )
    assert not field.raw_features.any()


def test_what_was_emptied_stays_so_and_moments_begin_anew():
    field = of_alphas([0.01] * 4 + [0.2] * 4)
    optimizer = Optimizer(OptimizerOptions(lr=0.1), field)

    def descend(index):
        for parameter in field.parameters():
            parameter.grad = -torch.ones_like(parameter)
        step = fresh_step(index, total=4)
        optimizer.step(step)
        field.after_step(step, optimizer)

    for index in range(2):
        descend(index)
        assert not field.emptied.any()
    before = density_along_x(field).detach()
    assert float(before.min()) > 0
    descend(2)
    assert int(field.emptied.sum()) == 4 * 64
    moments = optimizer.torch.state[field.raw_density]
    assert not moments["exp_avg"].any()
    assert not moments["exp_avg_sq"].any()
    descend(3)
    density = density_along_x(field).detach()
    assert float(density[:4].max()) < 1e-6
    assert float(density[4:].min()) > float(before[4:].max())


def test_a_stage_that_prunes_follows_one_that_does_not():
    field, former = of_alphas([0.1] * 8), of_alphas([0.3] * 8, prune_at=1.0)
    field.emptied.fill_(True)
    assert field.can_follow(former)
    with torch.no_grad():
        field.initialise(fresh_step(0, total=4))
        field.follow(former)
    assert torch.equal(field.raw_density, former.raw_density)
    assert torch.equal(field.raw_features, former.raw_features)
    assert not field.emptied.any()


@pytest.mark.parametrize("name", ["prune_at", "prune_below"])
def test_shares_are_refused_outside_of_0_to_1(name):
    with pytest.raises(ValueError, match=f"{name}: 1.5; 0 to 1"):
        VoxelConfig(**{name: 1.5})


def test_a_pruning_that_would_leave_no_time_for_the_colours_is_refused():
    with pytest.raises(ValueError, match=r"prune_at: 0\.95; 0 to 0\.9, for colours begin anew then, or 1 for never"):
        VoxelConfig(prune_at=0.95)
