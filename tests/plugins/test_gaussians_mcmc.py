"""`densify: mcmc`: what copies share, where they go, the noise, and runs that resume."""

import numpy
import pytest
import torch

from zero3d.engine import Optimizer
from zero3d.errors import StepError
from zero3d.recipe import OptimizerOptions
from zero3d.testing import fresh_step
from zero3d_gaussians.cloud import mcmc
from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig

STILL = {"type": "mcmc", "start": 1, "every": 1, "growth": 1.0, "noise": 0.0}


def made(count=20, densify=STILL, **options):
    cloud = GaussianCloud(GaussiansConfig(points=count, densify=densify, **options))
    with torch.no_grad():
        cloud.initialise(fresh_step())
    return cloud


def stepped(cloud):
    """An optimizer with moments of 1 everywhere, nothing moved."""
    optimizer = Optimizer(OptimizerOptions("adam", 0.0), cloud)
    for parameter in cloud.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(fresh_step())
    return optimizer


@pytest.mark.parametrize(("opacity", "together"), [(0.3, 2), (0.9, 5), (0.999, 20), (0.99, 51)])
def test_copies_take_as_much_light_as_the_one_did(opacity, together):
    """Along lines through them, by quadrature of the composited copies (the paper's demand, not its sum)."""
    new, factor = mcmc.shared(torch.tensor([opacity], dtype=torch.float64), torch.tensor([together]))
    x = numpy.linspace(-12, 12, 200_001)
    one = opacity * numpy.exp(-(x**2) / 2)
    many = 1 - (1 - float(new) * numpy.exp(-(x**2) / (2 * float(factor) ** 2))) ** together
    assert many.max() == pytest.approx(opacity, rel=1e-9)
    assert numpy.trapezoid(many, x) == pytest.approx(numpy.trapezoid(one, x), rel=1e-6)


def test_one_alone_stays_as_it_is():
    new, factor = mcmc.shared(torch.tensor([0.4]), torch.tensor([1]))
    assert float(new) == pytest.approx(0.4, rel=1e-6)
    assert float(factor) == pytest.approx(1, rel=1e-6)


def test_the_faint_move_to_the_opaque():
    cloud = made(4)
    with torch.no_grad():
        cloud.opacity_logits.copy_(torch.tensor([-20.0, 1.0, -20.0, -4.0]))
    before, optimizer = cloud.means.detach().clone(), stepped(cloud)
    scale = float(cloud.log_scales[1, 0].detach())
    cloud.after_step(fresh_step(), optimizer)
    assert torch.equal(cloud.means, before[[1, 1, 1, 3]])
    share, factor = mcmc.shared(torch.tensor([1.0]).sigmoid(), torch.tensor([3]))
    assert torch.allclose(cloud.opacities()[:3].double(), share.expand(3))
    assert float(cloud.log_scales[2, 0].detach()) == pytest.approx(scale + float(factor.log()), abs=1e-6)
    moments = optimizer.torch.state[cloud.means]["exp_avg"]
    assert not moments[:3].any()
    assert moments[3].all()


def test_new_ones_come_until_max_count():
    cloud = made(10, {**STILL, "growth": 1.5}, max_count=18)
    optimizer, counts = stepped(cloud), []
    for _ in range(3):
        cloud.after_step(fresh_step(), optimizer)
        counts.append(len(cloud.means))
        assert len(cloud.gradient_sums) == len(optimizer.torch.state[cloud.means]["exp_avg"]) == counts[-1]
    assert counts == [15, 18, 18]
    optimizer.check(0)
    optimizer.check_finite(0)


def test_the_noise_has_the_covariance_and_spares_the_opaque():
    generator = torch.Generator().manual_seed(0)
    axes = torch.tensor([[0.3, 0.1, 0.0], [0.0, 0.2, 0.0], [0.1, 0.0, 0.05]], dtype=torch.float64)
    count = 200_000
    found = mcmc.tremble(axes.expand(count, 3, 3), torch.full((count,), 0.005, dtype=torch.float64), 2.0, generator)
    covariance = axes @ axes.T
    wanted = covariance @ covariance  # of covariance times white noise, at half its strength of 2
    assert torch.allclose(found.T @ found / count, wanted, atol=0.02 * float(wanted.max()))
    opaque = mcmc.tremble(axes[None], torch.tensor([0.2], dtype=torch.float64), 1.0, generator)
    assert float(opaque.abs().max()) < 1e-8


def test_the_noise_follows_the_rate_of_the_positions():
    """Every step, before `start` too; twice the rate of the first step, twice the noise."""
    moves = []
    for rate in (1.0, {0: 1.0, 50: 2.0}):
        cloud = made(5, {"type": "mcmc", "noise": 1.0}, position_lr=rate, opacity=0.002)
        before = cloud.means.detach().clone()
        cloud.after_step(fresh_step(index=50), stepped(cloud))
        moves.append(cloud.means.detach() - before)
    assert moves[0].abs().min() > 0
    assert torch.allclose(moves[1], 2 * moves[0], rtol=1e-3, atol=1e-7)


def test_where_all_are_faint_one_line_says_so():
    cloud = made(4, opacity=0.001)
    with pytest.raises(StepError, match=r"every Gaussian is fainter than densify\.dead_opacity"):
        cloud.after_step(fresh_step(), stepped(cloud))


@pytest.mark.parametrize(
    ("option", "told"),
    [({"growth": 3.0}, "densify.growth: 3.0; 1 to 2"), ({"gradient": 1.0}, "densify.gradient: no such option")],
)
def test_a_wrong_option_is_named(option, told):
    with pytest.raises(ValueError, match=told):
        made(densify={"type": "mcmc", **option})
