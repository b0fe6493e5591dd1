"""sjc and sds against the closed-form Gaussian teacher."""

import re
from dataclasses import replace

import pytest
import torch

from zero3d import ViewGradient
from zero3d.diffusion import scaled_linear_alphas_cumprod
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.interfaces import Teacher
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.testing import GaussianDenoiser, check_guidance, fresh_step, random_view
from zero3d.testing.gaussian import GaussianConfig
from zero3d_score.sds import ScoreDistillation, SdsConfig
from zero3d_score.shared.noising import noised_view
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
    sigma, alpha_bar = float(teacher.denoiser.sigmas[500]), float(scaled_linear_alphas_cumprod()[500])
    one, alphas, plain, fantasia = (
        ask(ScoreDistillation(SdsConfig(**options, weighting=name), teacher))[1].value
        for name in ("one", "one_minus_alphas_cumprod", "sigma", "fantasia3d")
    )
    assert torch.allclose(alphas, one * (1 - alpha_bar), atol=1e-6), "by the timestep, whatever the unit of the space"
    assert torch.allclose(fantasia, one * alpha_bar**0.5 * (1 - alpha_bar), atol=1e-6)
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


class Joint(GaussianDenoiser):
    """Denoises three views jointly, and so at one level."""

    group = 3

    def predict(self, noised, sigma, condition, cameras, branches):
        assert (sigma.reshape(-1, 3) == sigma.reshape(-1, 3)[:, :1]).all()
        return super().predict(noised, sigma, condition, cameras, branches)


def test_a_group_of_views_has_one_level_and_each_group_its_own():
    denoiser = Joint(GaussianConfig(resolution=SIZE))
    view = random_view(6, SIZE).detach()
    at = noised_view(view, fresh_step(), denoiser, (0, 1000))
    assert len(set(at.t.tolist())) == 2
    ScoreDistillation(SdsConfig(), Teacher(denoiser)).gradient(view, orbit(0.0, torch.zeros(6), SIZE), fresh_step())


@pytest.mark.parametrize(("inclusive", "last"), [(False, 979), (True, 980)])
def test_an_inclusive_range_draws_its_end(inclusive, last):
    times = SdsConfig(min_t=0.978, inclusive=inclusive).times
    found = set()
    denoiser = GaussianDenoiser(GaussianConfig(resolution=2))
    for seed in range(60):
        step = fresh_step(seed=seed)
        found |= {int(noised_view(random_view(1, 2).detach(), step, denoiser, times.t_range(step, 1000)).t)}
    assert found == set(range(978, last + 1))


def test_no_range_leaves_the_list():
    assert SdsConfig(min_t=0.9, max_t=1.0, inclusive=True).times.t_range(fresh_step(), 1000) == (900, 1000)


def test_score_clipping_follows_its_schedule_and_comes_before_the_norm(teacher):
    def answer(**options):
        return ask(ScoreDistillation(SdsConfig(50.0, min_t=0.5, max_t=0.501, weighting="one", **options), teacher))[
            1
        ].value

    free = answer()
    assert torch.equal(answer(clip={0: 0.25, 10: 9}), free.clamp(-0.25, 0.25))
    assert torch.allclose(answer(normalise=True), free / free.norm())
    both = answer(clip=0.25, normalise=True)
    assert torch.allclose(both, free.clamp(-0.25, 0.25) / free.clamp(-0.25, 0.25).norm())


@pytest.mark.parametrize(
    ("component", "options", "told"),
    [
        ("sds", {"weighting": "two"}, "weighting: 'two'; one of one_minus_alphas_cumprod"),
        ("sds", {"clip": 0}, "clip: 0; "),
        ("sds", {"recon_rescale": 2.0}, "recon_rescale: 2.0; 0 to 1"),
        ("csd", {"cond": 0, "uncond": 0}, "cond: 0; another than 0"),
        ("nfsd", {"low_t": 2.0}, "low_t: 2.0; 0 to 1"),
        ("sdi", {"start_t": 0.0}, "start_t: 0.0; above 0"),
        ("hifa", {"latent_weight": 0.0, "image_weight": 0.0}, "latent_weight: 0; "),
        ("ism", {"interval": 0}, "interval: 0; "),
        ("sir", {"fit": "l3"}, "fit: 'l3'; one of l1, l2"),
    ],
)
def test_a_wrong_option_is_told_in_one_line(component, options, told):
    found = load_plugins().get("guidance", component, "test")
    with pytest.raises(ValueError, match="^" + re.escape(told)) as caught:
        found.Config(**options)
    assert len(str(caught.value).splitlines()) == 1


def test_a_teacher_without_the_negative_is_refused_before_anything_loads(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "steps: 1\ndenoiser: {type: gaussian, resolution: 8}\ncameras: {type: sphere, resolution: 8}\n"
        "representation: {type: voxels, resolution: 4}\nrenderer: {type: volume}\nguidance: {nfsd: {}}\n",
        encoding="utf-8",
    )
    with pytest.raises(
        RecipeError, match=r"'nfsd' needs the prediction negative, but denoiser 'gaussian' makes cond, null"
    ):
        build_parts(load_recipe(recipe, load_plugins()))
    build_parts(load_recipe(recipe, load_plugins(), ["guidance.nfsd.negative=false"]))


def test_a_teacher_that_sees_normals_moves_normals_and_opacity(teacher):
    """dL/dn and dL/da by autograd of the picture (n + a) / 2, from the gradient that sds gives of that picture."""
    view = random_view(1, SIZE).detach()
    generator = torch.Generator().manual_seed(3)
    view = replace(view, normals=torch.randn(1, SIZE, SIZE, 3, generator=generator) * view.opacity)
    guidance = ScoreDistillation(SdsConfig(shown="normals"), teacher)
    assert guidance.needs == {"image", "normals"}
    assert ScoreDistillation.needs == {"image"}
    cameras = orbit(0.0, 0.0, SIZE)
    found = guidance.gradient(view, cameras, fresh_step())
    normals, opacity = view.normals.clone().requires_grad_(), view.opacity.clone().requires_grad_()
    picture = (normals + opacity) / 2
    plain = ScoreDistillation(SdsConfig(), teacher)
    picture.backward(plain.gradient(replace(view, image=picture.detach()), cameras, fresh_step()).value)
    assert found.gradients.keys() == {"normals", "opacity"}
    torch.testing.assert_close(found.gradients["normals"], normals.grad)
    torch.testing.assert_close(found.gradients["opacity"], opacity.grad)
    with pytest.raises(ValueError, match="shown: 'colour'; one of image, normals"):
        SdsConfig(shown="colour")
