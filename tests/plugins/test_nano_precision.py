"""nano's precision: float32 unless it is asked otherwise, whatever the processor; near its own float32 then."""

import pytest
import torch

from zero3d.geometry import orbit
from zero3d.interfaces import TrainingBatch
from zero3d.testing import BrokenLaw, check_denoiser
from zero3d.values import Picture, Subject
from zero3d_zero123.component import Zero123, Zero123Config
from zero3d_zero123.nano.denoiser import NanoDenoiser
from zero3d_zero123.nano.lift import BOX, GRID, TOKEN_WIDTH, Lifted, _cells
from zero3d_zero123.nano.losses import denoiser_loss, lift_loss

SHORT = {"bfloat16": (0.02, 0.002), "float16": (0.003, 0.0003)}
"""The largest and the mean difference that a shorter number may make; a grey level is 0.004."""


def nano(**options):
    denoiser = Zero123.build(Zero123Config(**options))
    denoiser.load(torch.device("cpu"))
    return denoiser


@pytest.fixture(scope="module")
def question():
    """A disc seen from elsewhere, at a noise level that the recipe asks for: what `denoise` takes."""
    denoiser = nano()
    generator = torch.Generator().manual_seed(0)
    axis = torch.linspace(-1, 1, 64)
    disc = (axis[:, None].square() + axis.square() < 0.4)[..., None].float()
    colour = 1 - disc * torch.tensor([0.2, 0.6, 0.9])
    condition = denoiser.condition(Subject.of(Picture(colour, disc), orbit(20.0, 0.0, 64)))
    cameras, sigma = orbit(10.0, 60.0, 64), denoiser.sigmas[700].reshape(1)
    noised = denoiser.drawing(condition, cameras) + sigma * torch.randn(1, 64, 64, 3, generator=generator)
    return noised, sigma, condition, cameras, 2.0


def test_it_computes_in_float32_whatever_the_processor_says(processor, question):
    drawn = []
    for native in (True, False):
        processor.says(native)
        denoiser = nano()
        assert denoiser.dtype == torch.float32
        drawn.append(denoiser.denoise(*question))
    assert torch.equal(*drawn)
    assert torch.equal(drawn[0], nano(dtype="float32").denoise(*question))


@pytest.mark.parametrize("dtype", SHORT)
def test_shorter_numbers_draw_what_float32_draws(dtype, question):
    denoiser = nano(dtype=dtype)
    assert denoiser.dtype == getattr(torch, dtype)
    drawn, exact = denoiser.denoise(*question), nano().denoise(*question)
    largest, mean = SHORT[dtype]
    assert drawn.dtype == torch.float32
    assert 0 < (drawn - exact).abs().max() < largest
    assert (drawn - exact).abs().mean() < mean


def test_the_laws_allow_for_the_precision_that_is_declared_and_no_more():
    denoiser = nano(dtype="bfloat16")
    check_denoiser(denoiser)
    plain = denoiser.predict

    def off(noised, *others):
        """As a batch and its singles differ where the one is rounded otherwise."""
        return {branch: x0 + 5e-4 * len(noised) for branch, x0 in plain(noised, *others).items()}

    denoiser.predict = off
    check_denoiser(denoiser)
    exact = nano()
    plain, exact.predict = exact.predict, off
    with pytest.raises(BrokenLaw, match=r"a batch equals its groups: a view alone differs by 0\.0005"):
        check_denoiser(exact)


@pytest.mark.parametrize("native", [True, False])
def test_losses_let_a_trainer_s_autocast_into_the_networks_alone(processor, native):
    """Networks that answer in float32, whatever they are called under: then the loss must be the same to the bit."""
    processor.says(native)
    rgba = torch.rand(1, 64, 64, 4, generator=torch.Generator().manual_seed(1))
    batch = TrainingBatch(
        rgba, orbit(10.0, 0.0, 64), rgba, orbit(10.0, 30.0, 64), torch.zeros(1, GRID, GRID, GRID), BOX
    )
    volume = torch.randn(1, 4, GRID, GRID, GRID, generator=torch.Generator().manual_seed(2))
    under = []

    def lift(rgba, cameras):
        under.append(torch.is_autocast_enabled("cpu"))
        return Lifted(volume.expand(len(rgba), -1, -1, -1, -1), torch.zeros(len(rgba), 64, TOKEN_WIDTH), cameras)

    def unet(noised, *condition):
        under.append(torch.is_autocast_enabled("cpu"))
        return 0.9 * noised

    def losses():
        generators = (torch.Generator().manual_seed(seed) for seed in (4, 5))
        first, _ = lift_loss(lift, batch, next(generators))
        second, _ = denoiser_loss(lift, unet, NanoDenoiser().sigmas, batch, next(generators))
        return float(first), float(second)

    exact = losses()
    assert under == [False] * 3
    with torch.autocast("cpu", torch.bfloat16):
        assert losses() == exact
    assert under[3:] == [True] * 3


def test_cells_project_to_the_same_places_under_autocast():
    cameras = orbit(torch.tensor([20.0, -35.0]), torch.tensor([10.0, 200.0]), 64)
    plain = _cells(8, cameras)
    with torch.autocast("cpu", torch.bfloat16):
        found = _cells(8, cameras)
    for part, expected in zip(found, plain, strict=True):
        assert torch.equal(part, expected)
