"""`zero3d views`: the demo's sampler against closed forms and diffusers, and the command end to end."""

import json
import math
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from tests.plugins.zero123_tiny import GOLDEN, save_folder
from zero3d.cli import main
from zero3d.diffusion import guided
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.interfaces import Teacher
from zero3d.random import Generators
from zero3d.testing.gaussian import GaussianConfig, GaussianDenoiser
from zero3d.values import Picture, Subject
from zero3d_views.poses import Pose, cameras_at, make_poses, read_poses
from zero3d_views.sampler import DemoSampler, Request, SchedulerSampler, demo_timesteps
from zero3d_zero123.component import Zero123, Zero123Config
from zero3d_zero123.pose import relative_pose

RESOLUTION = 8


def gaussian(std=0.2, mean=(0.7, 0.4, 0.2)):
    return Teacher(GaussianDenoiser(GaussianConfig(mean=list(mean), std=std, resolution=RESOLUTION)))


def request(views=1, seed=0):
    streams = Generators(seed)
    return Request(orbit(0.0, [0.0] * views, RESOLUTION), [streams[str(k)] for k in range(views)])


def draw(sampler, teacher, views=1, seed=0):
    return sampler.sample(teacher, request(views, seed), 1.0, lambda: None)


@pytest.mark.parametrize("steps", [50, 75])
def test_the_demos_timesteps_are_those_that_the_original_visited(steps):
    assert demo_timesteps(steps) == GOLDEN[f"ddim_S{steps}_timesteps"].tolist()


@pytest.mark.parametrize(("steps", "count", "largest"), [(50, 49, 961), (75, 76, 976), (100, 99, 981), (200, 199, 991)])
def test_the_largest_timestep_is_dropped(steps, count, largest):
    assert (len(demo_timesteps(steps)), demo_timesteps(steps)[-1]) == (count, largest)


def test_without_fresh_noise_it_follows_the_gaussian_priors_flow():
    """For N(m, s^2) the flow is known: x - m shrinks as sqrt(s^2 + sigma^2)."""
    teacher = gaussian()
    denoiser = teacher.denoiser
    mean, std = torch.tensor(denoiser.config.mean), denoiser.config.std
    last, first = denoiser.sigmas[demo_timesteps(500)[-1]], denoiser.sigmas[0]
    noise = torch.randn(1, RESOLUTION, RESOLUTION, 3, generator=Generators(3)["0"])
    start = denoiser.centre + denoiser.unit * noise * (1 + (last / denoiser.unit) ** 2).sqrt()
    end = mean + (start - mean) * ((std**2 + first**2) / (std**2 + last**2)).sqrt()
    preserved = (1 + (first / denoiser.unit) ** 2).sqrt()
    expected = denoiser.centre + (end - denoiser.centre) / preserved
    found = draw(DemoSampler(500, eta=0.0), teacher, seed=3)
    assert torch.allclose(found, expected, atol=0.01)
    coarse = draw(DemoSampler(50, eta=0.0), teacher, seed=3)
    assert (found - expected).abs().max() < (coarse - expected).abs().max() / 3, "of first order in the step"


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_samples_have_the_priors_mean_and_spread(eta):
    teacher = gaussian()
    found = draw(DemoSampler(100, eta), teacher, views=100).reshape(-1, 3)
    # starting from pure noise, which the last level is not quite, leaves a trace of `centre` where nothing is drawn anew
    trace = 0.03 if eta == 0 else 0.01
    chance = 4 * 0.2 / math.sqrt(len(found))
    assert torch.allclose(found.mean(0), torch.tensor(teacher.denoiser.config.mean), atol=chance + trace)
    assert torch.allclose(found.std(0), torch.full((3,), 0.2), rtol=0.1), "to the first order of a hundred steps"


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_whole_trajectory_is_diffusers_ddim_at_the_demos_timesteps(eta):
    """diffusers' 50 steps without the first are the demo's 49; their x0 comes from the variance-preserving formulas."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    scheduler.set_timesteps(50)
    teacher = gaussian()
    unit, centre = teacher.denoiser.unit, teacher.denoiser.centre
    stream = Generators(3)["0"]
    latent = torch.randn(1, RESOLUTION, RESOLUTION, 3, generator=stream)
    for t in scheduler.timesteps[1:]:
        alpha = scheduler.alphas_cumprod[t]
        sigma = unit * ((1 - alpha) / alpha).sqrt()
        x0 = teacher.denoise(centre + unit * latent / alpha.sqrt(), sigma[None], request().cameras, 1.0)
        eps = (latent - alpha.sqrt() * (x0 - centre) / unit) / (1 - alpha).sqrt()
        fresh = torch.randn(latent.shape, generator=stream) if eta else None
        latent = scheduler.step(eps, t, latent, eta=eta, variance_noise=fresh).prev_sample
    found = draw(DemoSampler(50, eta), teacher, seed=3)
    assert torch.allclose(found, centre + unit * latent, atol=1e-4)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_one_step_with_fresh_noise_is_diffusers_ddim(eta):
    from diffusers import DDIMScheduler

    from zero3d.diffusion import ddim_step, stable_diffusion_sigmas

    scheduler = DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False)
    scheduler.set_timesteps(20)
    sigmas = stable_diffusion_sigmas()
    vp, x0, fresh = torch.randn(3, 1, 4, 6, 6, generator=torch.Generator().manual_seed(0)).double()
    t = scheduler.timesteps[3]
    sigma, following = sigmas[t].double(), sigmas[t - 50].double()
    x = vp * (1 + sigma**2).sqrt()
    theirs = scheduler.step((x - x0) / sigma, t, vp, eta=eta, variance_noise=fresh).prev_sample
    ours = ddim_step(x, x0, sigma, following, eta, fresh) / (1 + following**2).sqrt()
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["EulerDiscreteScheduler", "DPMSolverMultistepScheduler", "DDPMScheduler", "PNDMScheduler"]
)
def test_other_schedulers_reach_the_prior_too(name):
    teacher = gaussian()
    found = draw(SchedulerSampler(name, 50), teacher, views=60).reshape(-1, 3)
    assert torch.allclose(found.mean(0), torch.tensor(teacher.denoiser.config.mean), atol=0.03)
    assert torch.allclose(found.std(0), torch.full((3,), 0.2), rtol=0.15)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: SchedulerSampler("DDIMSheduler", 10), "Did you mean 'DDIMScheduler'"),
        (lambda: SchedulerSampler("EDMEulerScheduler", 10), "EDMEulerScheduler does not sample"),
        (lambda: SchedulerSampler("DDIMScheduler", 5000), "DDIMScheduler with 5000 steps"),
        (lambda: SchedulerSampler("DDIMScheduler", 0), "--steps: 0; at least 2"),
        (lambda: SchedulerSampler("EulerDiscreteScheduler", 10, 0.5), "--eta: 0.5, but EulerDiscreteScheduler takes"),
        (lambda: SchedulerSampler("DDIMInverseScheduler", 10), "DDIMInverseScheduler does not sample"),
        (lambda: SchedulerSampler("CogVideoXDDIMScheduler", 10), "CogVideoXDDIMScheduler does not sample"),
        (lambda: SchedulerSampler("IPNDMScheduler", 10), "IPNDMScheduler does not sample"),
        (lambda: SchedulerSampler("RePaintScheduler", 10), "RePaintScheduler with 10 steps"),
        (lambda: DemoSampler(2, 1.0), "--steps: 2"),
        (lambda: cameras_at([Pose(0, 80, 0)], 20.0, 8), "--elevation: 80 above an input at 20 is 100"),
        (lambda: cameras_at([Pose(0, 0, -1.6)], 20.0, 8), "inside the object"),
    ],
)
def test_what_cannot_be_drawn_is_refused_by_name(make, told):
    with pytest.raises(RecipeError, match=told):
        make()


def test_poses_are_read_from_a_file(tmp_path):
    file = tmp_path / "poses.json"
    file.write_text("[[90, -10, 0.5], [0, 0, 0]]", encoding="utf-8")
    assert read_poses(file) == [Pose(90, -10, 0.5), Pose(0, 0, 0)]
    for text in ("[]", "{", "[[1, 2]]", "[[1, 2, NaN]]", '"far"', "3"):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(RecipeError, match=r"--poses: .*a JSON list of"):
            read_poses(file)
    with pytest.raises(RecipeError, match="No such file"):
        read_poses(tmp_path / "nowhere.json")


def test_ddims_eta_reaches_diffusers():
    teacher = gaussian()
    still, default, lively = (draw(SchedulerSampler("DDIMScheduler", 5, eta), teacher) for eta in (0.0, None, 1.0))
    assert torch.equal(still, default)
    assert (still - lively).abs().max() > 0.1


def test_a_sample_does_not_depend_on_its_batch():
    teacher = gaussian()
    together = draw(DemoSampler(10, 1.0), teacher, views=3)
    streams = Generators(0)
    alone = [
        DemoSampler(10, 1.0).sample(teacher, Request(orbit(0.0, 0.0, 8), [streams[str(k)]]), 1.0, lambda: None)
        for k in range(3)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_moves_have_the_papers_signs():
    """T = [polar difference, sin, cos of azimuth, distance]: up is negative, right and away positive."""
    cameras = cameras_at(make_poses([90.0], [30.0], [0.2]), 0.0, 8)
    (found,) = relative_pose(cameras, orbit(0.0, 0.0, 8))
    assert torch.allclose(found, torch.tensor([-math.radians(30), 1.0, 0.0, 0.2]), atol=1e-5)


@pytest.fixture
def picture(tmp_path):
    rgba = numpy.zeros((64, 64, 4), numpy.uint8)
    rgba[16:48, 20:44] = (200, 60, 30, 255)
    Image.fromarray(rgba).save(tmp_path / "block.png")
    return str(tmp_path / "block.png")


def views(picture, out, *more):
    small = ["--denoiser", "gaussian", "--option", "resolution=16", "--steps", "6", "--scale", "1"]
    return main(["views", picture, "--out", str(out), *small, *more])


def test_the_command_writes_pictures_a_sheet_and_a_record(picture, tmp_path):
    out = tmp_path / "views"
    assert (
        views(picture, out, "--azimuth", "0,-45", "--distance", "0,0.2", "--samples", "2", "--input-elevation", "10")
        == 0
    )
    names = sorted(path.name for path in out.glob("*_s*.png"))
    assert len(names) == 8
    assert names[0] == "000_az+000_el+00_s0.png"
    assert names[-1] == "003_az-045_el+00_di+0.20_s1.png"
    record = json.loads((out / "views.json").read_text(encoding="utf-8"))
    assert (record["input_elevation_deg"], record["evaluations"], len(record["views"])) == (10, 6, 8)
    assert record["denoiser"] == {"type": "gaussian", "resolution": 16}
    assert record["eta"] == 1
    sheet = Image.open(out / "sheet.png")
    assert sheet.width > 3 * 128
    assert sheet.height > 4 * 128
    assert sorted(path.name for path in tmp_path.iterdir()) == ["block.png", "views"]


def test_a_list_may_begin_with_a_negative_number(picture, tmp_path):
    assert views(picture, tmp_path / "views", "--azimuth", "-90,0", "--elevation", "-.5,3", "--distance", "-0.2") == 0
    assert (tmp_path / "views" / "000_az-090_el-00.5_di-0.20_s0.png").exists()


def test_an_empty_working_directory_can_be_filled_and_a_neighbour_is_safe(picture, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here.tmp").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert views(picture, ".") == 0
    assert views(picture, ".", "--overwrite", "--azimuth", "30") == 0
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["000_az+030_el+00_s0.png", "sheet.png", "views.json"]
    assert (tmp_path / "here.tmp").is_dir()


def test_the_same_seed_gives_the_same_pictures_whatever_the_batch(picture, tmp_path):
    for batch in ("1", "4"):
        assert views(picture, tmp_path / batch, "--samples", "3", "--azimuth", "0,90", "--batch", batch) == 0
    assert views(picture, tmp_path / "other", "--samples", "3", "--azimuth", "0,90", "--seed", "1") == 0
    pictures = [
        [numpy.asarray(Image.open(path)) for path in sorted((tmp_path / name).glob("*_s*.png"))]
        for name in ("1", "4", "other")
    ]
    assert all(abs(a.astype(int) - b).max() <= 1 for a, b in zip(pictures[0], pictures[1], strict=True))
    assert not all((a == b).all() for a, b in zip(pictures[0], pictures[2], strict=True))
    assert (pictures[0][0] != pictures[0][1]).any(), "samples differ"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--azimuth", "0,x"], "--azimuth: '0,x'"),
        (["--azimuth", "nan"], "--azimuth"),
        (["--scheduler", "nosuch"], "--scheduler: no 'nosuch'"),
        (["--samples", "0"], "--samples: 0"),
        (["--eta", "2"], "--eta: 2"),
        (["--scale", "nan"], "--scale: nan"),
        (["--input-elevation", "nan"], "--input-elevation: nan"),
        (["--input-elevation", "100", "--elevation", "-50"], "--input-elevation: 100"),
        (["--option", "mean=["], "no YAML"),
        (["--option", "x"], "write key=value"),
        (["--option", "size=3"], "size"),
        (["--device", "tpu"], "tpu"),
        (["--denoiser", "zero124"], "zero123"),
        (["--mask", "lost.png"], "lost.png"),
    ],
)
def test_a_users_mistake_is_one_line_and_leaves_nothing(picture, tmp_path, capsys, more, told):
    assert views(picture, tmp_path / "out", *more) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert told in lines[-1]
    assert sum(line.startswith("zero3d:") for line in lines) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["block.png"]


def test_too_large_a_batch_is_one_line_and_leaves_nothing(picture, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(GaussianDenoiser, "predict", full)
    assert views(picture, tmp_path / "out", "--batch", "3") == 2
    assert "zero3d: --batch: 3 pictures at once do not fit" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["block.png"]


def test_only_a_folder_of_its_own_is_overwritten(picture, tmp_path, capsys):
    out = tmp_path / "views"
    assert views(picture, out) == 0
    assert views(picture, out) == 2
    assert "--overwrite" in capsys.readouterr().err
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    former = {path.name for path in out.glob("*_s0.png")}
    assert views(picture, out, "--overwrite", "--azimuth", "77") == 0
    assert (out / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert not former & {path.name for path in out.iterdir()}
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years", encoding="utf-8")
    assert views(picture, tmp_path / "mine", "--overwrite") == 2
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "years"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("published"))


def test_the_published_network_draws_at_256_pixels(picture, published, tmp_path):
    out = tmp_path / "views"
    command = ["views", picture, "--out", str(out), "--weights", str(published), "--azimuth", "30", "--steps", "3"]
    assert main(command) == 0
    assert Image.open(next(out.glob("000*.png"))).size == (256, 256)
    record = json.loads((out / "views.json").read_text(encoding="utf-8"))
    assert record["framing"] == "demo"
    assert len(record["weights"]) == 4, "each part's hash, though two files share a name"


def test_a_scheduler_over_the_published_network_is_diffusers_own_loop(published):
    """Euler scales what the network sees: the noisy latent alone, never the picture's."""
    from diffusers import EulerDiscreteScheduler

    scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )
    scheduler.set_timesteps(4)
    denoiser = Zero123.build(Zero123Config(weights=str(published)))
    denoiser.load(torch.device("cpu"))
    seen = Picture(GOLDEN["image_u8"].float() / 255, torch.ones(256, 256, 1))
    condition = denoiser.condition(Subject.of(seen, orbit(20.0, 0.0, 256)))
    cameras = orbit(20.0, 45.0, 32)
    pose = relative_pose(cameras, condition.camera)
    latent = torch.randn(1, 32, 32, 4, generator=Generators(0)["0"]).permute(0, 3, 1, 2) * scheduler.init_noise_sigma
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.scale_model_input(latent, t)
            eps = guided(*denoiser.predict_eps(x, t[None].long(), condition, pose, ("null", "cond")), 3.0)
            latent = scheduler.step(eps, t, latent).prev_sample
    sampler = SchedulerSampler("EulerDiscreteScheduler", 4)
    ours = sampler.sample(Teacher(denoiser, condition), Request(cameras, [Generators(0)["0"]]), 3.0, lambda: None)
    assert (ours.permute(0, 3, 1, 2) - latent).abs().max() < 1e-4 * latent.abs().max()


def test_stable_zero123_needs_the_inputs_elevation_and_knows_no_distance(picture, published, tmp_path, capsys):
    command = ["views", picture, "--out", str(tmp_path / "v"), "--weights", str(published), "--option", "pose=stable"]
    assert main(command) == 2
    assert "--input-elevation: missing" in capsys.readouterr().err
    assert main([*command, "--input-elevation", "10", "--distance", "0.1"]) == 2
    assert "--distance: 0.1" in capsys.readouterr().err
