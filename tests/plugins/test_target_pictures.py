"""`target_pictures`: its sampler against published numbers, its cameras, its silhouettes, and what it holds."""

from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file

from tests.core.test_run import assert_same, final_state, interrupt_after, quiet
from tests.plugins.novel_views_tiny import GOLDEN
from zero3d import RecipeError
from zero3d.checkpoint import NAME
from zero3d.geometry import orbit
from zero3d.interfaces import CameraSampler, Teacher
from zero3d.plugins import load_plugins
from zero3d.run import resume, run
from zero3d.testing import GaussianDenoiser, fresh_step, random_picture, random_view
from zero3d.testing.gaussian import GaussianConfig
from zero3d.values import Step, Subject, View
from zero3d_novel_views.sv3d.conditioning import edm_sigmas
from zero3d_score.targets.guidance import TargetPictures
from zero3d_score.targets.matte import cut_out
from zero3d_score.targets.options import TargetPicturesConfig


class Drawn(CameraSampler):
    """As many views as it is told, of 8 pixels."""

    name = "drawn"
    resolution = 8

    def __init__(self, views):
        super().__init__(None)
        self.views = views

    def sample(self, step):
        return orbit(10.0, 360 * torch.rand(self.views, generator=step.generator("azimuth")), 8)


class Six(GaussianDenoiser):
    """A teacher of six views of its own, which checks that it is asked for these; it counts its calls."""

    group, calls = 6, 0

    def views(self, subject):
        return orbit(torch.tensor([20.0, -10.0] * 3), 30.0 + 60 * torch.arange(6), 8)

    def predict(self, noised, sigma, condition, cameras, branches):
        self.calls += 1
        assert cameras.same_as(self.views(None))
        assert (sigma == sigma[0]).all()
        return super().predict(noised, sigma, condition, cameras, branches)


def made(teacher=None, **options):
    teacher = teacher or Six(GaussianConfig(resolution=8))
    subject = Subject.of(random_picture(8), orbit(15.0, 40.0, 8, 3.0))
    return TargetPictures(
        TargetPicturesConfig(**{"steps": 4, "guidance_scale": 1, **options}), Teacher(teacher, None, subject)
    )


def seen(view, background=1.0):
    return View(view.image, view.opacity, extra={"background": torch.full_like(view.image, background)}).detach()


def go(guidance, indices, generators, views=2):
    """The cameras and gradients of these steps, of a view that changes with them."""
    told = []
    for index in indices:
        step = Step(index, 12, generators, "guidance.targets")
        cameras = guidance.cameras(step.scoped("cameras"), Drawn(views))
        answer = guidance.gradient(seen(random_view(len(cameras), 8, seed=index)), cameras, step)
        guidance.after_step(step)
        told.append((cameras.camera_to_world, answer.value))
    return told


def test_the_timesteps_are_the_published_ones():
    golden = GOLDEN["zero123plus"]
    for count in (28, 36, 75):
        found = TargetPicturesConfig(steps=count).timesteps(1000)
        assert found == golden[f"timesteps_{count}"].long().tolist()
    levels = edm_sigmas(20 * 49 + 1, 0.002, 700.0).flip(0)
    found = levels[TargetPicturesConfig(steps=50, spacing="even").timesteps(len(levels))]
    assert torch.allclose(found, GOLDEN["sv3d"]["sigmas_50"][:-1], rtol=5e-6)


def test_the_triangle_is_the_published_one():
    found = TargetPicturesConfig(view_scale="triangle").scales(21, 2.5)
    assert torch.allclose(torch.tensor(found), GOLDEN["sv3d"]["guidance_scale_per_frame"])


def test_euler_ancestral_step_for_step():
    """Against the formula written out: sigma_up, sigma_down, a step along (y - D) / sigma."""
    guidance = made(steps=5)
    denoiser = guidance.teacher.denoiser
    views = denoiser.views(None)
    found = guidance._drawn(torch.zeros(1, 8, 8, 4), views, fresh_step())  # a field in its space: not clamped
    step = fresh_step()
    sigmas = [*denoiser.sigmas[guidance.config.timesteps(1000)], torch.tensor(0.0)]
    y = denoiser.centre + sigmas[0] * torch.randn(6, 8, 8, 3, generator=step.generator("noise"))
    for sigma, following in pairwise(sigmas):
        x0 = denoiser.denoise(y, sigma.expand(6), None, views, 1.0)
        up = (following**2 * (sigma**2 - following**2) / sigma**2).sqrt()
        down = (following**2 - up**2).clamp(min=0).sqrt()
        y = y + (y - x0) / sigma * (down - sigma) + up * torch.randn(y.shape, generator=step.generator("hops"))
    assert torch.allclose(found, y, atol=1e-4)


def test_pictures_are_drawn_once_and_some_are_fitted_in_each_step():
    guidance, generators = made(), fresh_step().generators
    told, calls = go(guidance, range(5), generators), guidance.teacher.denoiser.calls
    assert calls == 4
    own = guidance.teacher.denoiser.views(None).camera_to_world
    chosen = [[int((own == pose).all(dim=(1, 2)).nonzero()) for pose in poses] for poses, _ in told]
    assert all(len(set(pair)) == 2 for pair in chosen)
    assert len({tuple(pair) for pair in chosen}) > 1
    assert len(go(guidance, [5], generators, views=9)[0][0]) == 6
    again = made(refresh=2)
    go(again, range(5), fresh_step().generators)
    assert again.teacher.denoiser.calls == 3 * calls


@pytest.mark.parametrize("stop", [1, 2, 4])
def test_it_resumes_to_the_bit(stop):
    whole = go(made(refresh=3), range(7), fresh_step().generators)
    first, generators = made(refresh=3), fresh_step().generators
    go(first, range(stop), generators)
    again = made(refresh=3)
    again.load_state_dict(first.state_dict())
    for (camera, value), (other, expected) in zip(go(again, range(stop, 7), generators), whole[stop:], strict=True):
        assert torch.equal(camera, other)
        assert torch.equal(value, expected)
    with pytest.raises(ValueError, match="counters"):
        again.load_state_dict({})


def test_cameras_of_a_teacher_without_its_own_stand_by_the_picture():
    guidance = made(GaussianDenoiser(GaussianConfig(resolution=8)), azimuth_deg=[0.0, 90.0], elevation_deg=[5.0, -5.0])
    cameras = guidance.cameras(fresh_step(), Drawn(2))
    assert torch.allclose(torch.rad2deg(cameras.azimuth), torch.tensor([40.0, 130.0]), atol=1e-3)
    assert torch.allclose(torch.rad2deg(cameras.elevation), torch.tensor([5.0, -5.0]), atol=1e-3)
    assert torch.allclose(cameras.distance, torch.tensor(3.0))


def disc(size=32, colour=0.5):
    """A red disc before a plain background, a hole of that colour in it, a little noise."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    radius = ((x - 15.5) ** 2 + (y - 15.5) ** 2).sqrt()
    picture = torch.full((size, size, 3), colour)
    picture[radius < 10] = torch.tensor([0.8, 0.1, 0.1])
    picture[radius < 3] = colour
    noise = 0.005 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    return picture + noise, radius


@pytest.mark.parametrize("colour", [0.5, 1.0])
def test_the_object_is_cut_out_of_a_plain_background(colour):
    picture, radius = disc(colour=colour)
    front, alpha, plain = cut_out(picture.clamp(0, 1))
    assert plain
    assert torch.equal(alpha[..., 0], (radius < 10).float())
    assert float(front[radius >= 10].max()) < 0.05
    assert torch.equal(front[radius < 10], picture.clamp(0, 1)[radius < 10])
    assert not cut_out(random_picture(32).rgb)[2]
    assert not cut_out(torch.full((32, 32, 3), 0.5))[2]


def test_silhouette_and_background_are_the_runs():
    guidance = made(mask_weight=3.0)
    picture, _ = disc()
    guidance._cameras = guidance._own()
    guidance._keep(picture.clamp(0, 1).expand(6, -1, -1, -1), rgb=True)
    front, alpha, _ = cut_out(picture.clamp(0, 1))
    target = (front + (1 - alpha) * 0.25).expand(6, -1, -1, -1)
    view = seen(View(target, alpha.expand(6, -1, -1, -1)), 0.25)
    told = guidance.gradient(view, guidance._cameras, fresh_step())
    assert float(told.value.abs().max()) < 1e-6
    assert float(told.gradients["opacity"].abs().max()) == 0
    moved = View(view.image + 0.5, view.opacity - 0.25, extra=view.extra)
    told = guidance.gradient(moved, guidance._cameras, fresh_step())
    assert torch.allclose(told.value, torch.tensor(0.5))
    assert torch.allclose(told.gradients["opacity"], torch.tensor(-0.75))


@pytest.mark.parametrize(
    ("teacher", "options", "line"),
    [
        (Six, {"azimuth_deg": [0.0]}, "draws views of its own alone; remove it"),
        (GaussianDenoiser, {}, "has no views of its own; give for example [0, 90, 180, 270]"),
    ],
)
def test_no_cameras_or_two_sets(teacher, options, line):
    with pytest.raises(RecipeError) as error:
        made(teacher(GaussianConfig(resolution=8)), **options)
    assert line in str(error.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"spacing": "odd"}, "spacing: 'odd'; one of trailing, even"),
        ({"view_scale": "square"}, "view_scale: 'square'"),
        ({"steps": 0}, "steps: 0; 1 to 1000"),
        ({"eta": 2}, "eta: 2; 0 to 1"),
        ({"azimuth_deg": [999.0]}, "azimuth_deg"),
        ({"azimuth_deg": [0.0] * 3, "elevation_deg": [1.0, 2.0]}, "elevation_deg: 2 angles"),
        ({"elevation_deg": [95.0]}, "elevation_deg: [95.0]; -89 to 89"),
    ],
)
def test_options_out_of_range(options, line):
    with pytest.raises(ValueError) as error:
        TargetPicturesConfig(**options)
    assert line in str(error.value)


RECIPE = """
steps: 8
seed: 3
denoiser: {type: gaussian, resolution: 8}
cameras: {type: sphere, resolution: 8, views: 2}
representation: {type: voxels, resolution: 6}
renderer: {type: volume, step_ratio: 2.0}
guidance: {target_pictures: {refresh: 3, steps: 5, guidance_scale: 1, azimuth_deg: [0, 120, 240]}}
checkpoint: {every: 1}
"""


def test_an_interrupted_run_goes_on_with_its_pictures(tmp_path, monkeypatch):
    registry, recipe = load_plugins(), tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    options = ["image=examples/mug.png", "input.elevation_deg=20"]
    run(str(recipe), registry, [*options, f"out={tmp_path / 'whole'}"], tell=quiet)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        with pytest.raises(KeyboardInterrupt):
            run(str(recipe), registry, [*options, f"out={tmp_path / 'cut'}"], tell=quiet)
    assert "state.guidance.target_pictures/front" in load_file(tmp_path / "cut" / NAME)
    resume(str(tmp_path / "cut"), registry, tell=quiet)
    assert_same(final_state(tmp_path / "whole"), final_state(tmp_path / "cut"))
