"""sjc and sds against the closed-form Gaussian teacher."""

from dataclasses import replace

import pytest
import torch

from zero3d import ViewGradient
from zero3d.geometry import orbit
from zero3d.interfaces import Teacher
from zero3d.testing import GaussianDenoiser, check_guidance
from zero3d.testing.conformance import fresh_step, random_view
from zero3d.testing.gaussian import GaussianConfig
from zero3d_score.sds import ScoreDistillation, SdsConfig
from zero3d_score.shared.space import resized, to_teacher
from zero3d_score.sjc import ScoreJacobianChaining, SjcConfig

SIZE, MEAN, STD = 8, 0.3, 0.2


@pytest.fixture
def teacher():
    return Teacher(GaussianDenoiser(GaussianConfig(mean=[MEAN] * 3, std=STD, resolution=SIZE)))


def ask(guidance, seed=0, views=1):
    view = random_view(1, SIZE).detach()
    view = replace(view, image=view.image.expand(views, -1, -1, -1))
    step = fresh_step(seed=seed)
    return view.image, guidance.gradient(view, orbit(0.0, torch.zeros(views), SIZE), step)


@pytest.mark.parametrize("component", [ScoreJacobianChaining, ScoreDistillation])
def test_conforms(component):
    check_guidance(component)


@pytest.mark.parametrize("variance_reduction", [True, False])
def test_the_mean_sjc_gradient_is_the_closed_form(teacher, variance_reduction):
    share = [0.6, 0.601]  # one noise level
    guidance = ScoreJacobianChaining(SjcConfig(1.0, variance_reduction, share), teacher)
    sigma = float(teacher.denoiser.sigmas[600])
    image, gradient = ask(guidance, views=20_000)
    expected = sigma * (image[0] - MEAN) / (STD**2 + sigma**2)
    noise = STD**2 / (STD**2 + sigma**2) if variance_reduction else sigma**2 / (STD**2 + sigma**2)
    assert (gradient.value.mean(0) - expected).abs().max() < 6 * max(noise, 0.05) / 20_000**0.5 + 1e-5


def test_variance_reduction_reduces_variance_at_high_noise(teacher):
    spread = [
        ask(ScoreJacobianChaining(SjcConfig(1.0, reduced, [0.9, 0.901]), teacher), views=2000)[1].value.var(0).mean()
        for reduced in (True, False)
    ]
    assert spread[0] < 0.1 * spread[1]


def test_sds_with_weight_one_is_sjc_with_variance_reduction(teacher):
    sjc = ScoreJacobianChaining(SjcConfig(3.0, True, [0.02, 0.98]), teacher)
    sds = ScoreDistillation(SdsConfig(3.0, weighting="one"), teacher)
    assert torch.allclose(ask(sjc)[1].value, ask(sds)[1].value, rtol=1e-5, atol=1e-7)


def test_weightings(teacher):
    options = {"guidance_scale": 1.0, "min_t": 0.5, "max_t": 0.501}
    sigma = float(teacher.denoiser.sigmas[500])
    one, alphas, plain = (
        ask(ScoreDistillation(SdsConfig(**options, weighting=name), teacher))[1].value
        for name in ("one", "one_minus_alphas_cumprod", "sigma")
    )
    assert torch.allclose(alphas, one * sigma**2 / (1 + sigma**2), atol=1e-6)
    assert torch.allclose(plain, one * sigma, atol=1e-6)


def test_time_schedules_are_followed(teacher):
    guidance = ScoreDistillation(SdsConfig(min_t={"0%": 0.9, "100%": 0.0}, max_t={"0%": 0.91, "100%": 0.01}), teacher)
    view, cameras = random_view(1, SIZE).detach(), orbit(0.0, 0.0, SIZE)
    sigmas = [guidance.gradient(view, cameras, fresh_step(index, 10)).metrics["sigma"] for index in (0, 5, 9)]
    assert sigmas == sorted(sigmas, reverse=True)
    assert sigmas[0] == pytest.approx(float(teacher.denoiser.sigmas[900:911].mean()), rel=0.1)


class HalfLatent(GaussianDenoiser):
    """A two-channel latent at half the size: averages of 2x2 pixels, mixed by a fixed matrix."""

    channels = 2
    mix = torch.tensor([[1.0, 0.5], [0.0, 2.0], [-1.0, 0.25]])

    def __init__(self, config):
        super().__init__(config)
        self.picture_resolution = 2 * config.resolution

    def encode(self, image):
        return resized(image, self.resolution) @ self.mix

    def predict(self, noised, sigma, condition, cameras, branches):
        return dict.fromkeys(branches, torch.zeros_like(noised))


def test_an_rgb_view_is_encoded_and_the_gradient_pulled_back_through_the_transpose():
    denoiser = HalfLatent(GaussianConfig(resolution=4))
    image = random_view(2, SIZE).image.detach()
    y, pull_back = to_teacher(image, denoiser)
    assert y.shape == (2, 4, 4, 2)
    gradient = torch.randn(y.shape)
    other = torch.randn(image.shape)
    # <g, J v> = <J^T g, v>
    assert torch.allclose((gradient * denoiser.encode(other)).sum(), (pull_back(gradient) * other).sum(), atol=1e-4)
    check_guidance(ScoreDistillation, teacher=Teacher(denoiser))


def test_a_gradient_has_no_graph_even_through_an_encoder():
    guidance = ScoreDistillation(SdsConfig(), Teacher(HalfLatent(GaussianConfig(resolution=4))))
    answer = guidance.gradient(random_view(1, SIZE).detach(), orbit(0.0, 0.0, SIZE), fresh_step())
    assert isinstance(answer, ViewGradient)
    assert answer.value.shape == (1, SIZE, SIZE, 3)
    assert not answer.value.requires_grad
