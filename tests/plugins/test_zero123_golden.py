"""The published network, from a folder in the published layout, against numbers of the original code."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.plugins.zero123_tiny import GOLDEN, save_folder
from zero3d.diffusion import guided
from zero3d.errors import RecipeError
from zero3d.geometry import look_at, orbit
from zero3d.interfaces import Teacher
from zero3d.testing import check_denoiser
from zero3d.values import Cameras, Picture, PosedPicture, Subject
from zero3d_views.sampler import DemoSampler, Request
from zero3d_zero123.component import Zero123, Zero123Config
from zero3d_zero123.published.conditioning import PictureCondition, clip_pixels, posed_token

TOLERANCE = 1e-4


def relative_error(measured, golden):
    return float(((measured - golden).abs().max() / golden.abs().max()).detach())


@pytest.fixture(scope="module", params=[True, False], ids=["ema", "raw"])
def model(request, tmp_path_factory):
    folder = save_folder(tmp_path_factory.mktemp("zero123"), ema=request.param)
    denoiser = Zero123.build(Zero123Config(weights=str(folder)))
    denoiser.load(torch.device("cpu"))
    return denoiser, "ema" if request.param else "raw"


def pose_cameras(name):
    return Cameras(look_at(GOLDEN[name].float()), 32, 32)


@pytest.fixture(scope="module")
def condition(model):
    picture = Picture(GOLDEN["image_u8"].float() / 255, torch.ones(256, 256, 1))
    return model[0].condition(Subject.of(picture, pose_cameras("pose_cond_eye")[:1]))


def test_clip_preprocessing():
    x = GOLDEN["image_u8"].float().permute(2, 0, 1)[None] / 127.5 - 1
    pixels = clip_pixels(x, 224)
    measured = torch.stack([pixels.mean(), pixels.std()])
    assert relative_error(measured, GOLDEN["clip_pixels_mean_std"].float()) < TOLERANCE


def test_clip_embedding_and_the_unscaled_vae_mode(condition):
    assert relative_error(condition.embedding[:, 0], GOLDEN["clip_embedding"]) < TOLERANCE
    assert relative_error(condition.latent, GOLDEN["vae_mode"]) < TOLERANCE


def test_the_posed_token(model, condition):
    token = posed_token(model[0]._cc, condition.embedding, GOLDEN["pose_T"][:1].float())
    assert relative_error(token, GOLDEN["cc_token"]) < TOLERANCE


@pytest.mark.parametrize("branch", ["cond", "uncond", "cfg3"])
def test_eps_at_three_timesteps(model, condition, branch):
    denoiser, kind = model
    asked = {"cond": ["cond"], "uncond": ["null"], "cfg3": ["null", "cond"]}[branch]
    pose = GOLDEN["pose_T"][:1].float().expand(3, -1)
    latent = GOLDEN["z_t"].expand(3, -1, -1, -1)
    with torch.no_grad():
        answers = denoiser.predict_eps(latent, GOLDEN["t"], condition, pose, asked)
    eps = guided(*answers, 3.0) if len(answers) == 2 else answers[0]
    assert relative_error(eps, GOLDEN[f"eps_{kind}_{branch}"]) < TOLERANCE


def test_denoise_is_the_same_network_in_sigma_form(model, condition):
    denoiser, kind = model
    t = GOLDEN["t"]
    sigma = denoiser.sigmas[t]
    noised = GOLDEN["z_t"].expand(3, -1, -1, -1) * (1 + sigma**2).sqrt()[:, None, None, None]
    cameras = Cameras(pose_cameras("pose_target_eye").camera_to_world[:1].expand(3, -1, -1), 32, 32)
    with torch.no_grad():
        x0 = denoiser.denoise(noised.permute(0, 2, 3, 1), sigma, condition, cameras, 3.0).permute(0, 3, 1, 2)
    expected = noised - sigma[:, None, None, None] * GOLDEN[f"eps_{kind}_cfg3"]
    assert relative_error(x0, expected) < TOLERANCE


def test_vae_decode(model):
    latent = (0.8 * GOLDEN["z_t"]).permute(0, 2, 3, 1)
    with torch.no_grad():
        decoded = 2 * model[0].decode(latent).permute(0, 3, 1, 2) - 1
    assert relative_error(decoded[..., ::4, ::4], GOLDEN["vae_decode_of_zt_x0.8"]) < TOLERANCE


def test_a_flat_picture_keeps_its_variance(model):
    """White is the background of every run; held against the same network in double precision."""
    denoiser = model[0]
    exact = copy.deepcopy(denoiser._vae).double()
    with torch.no_grad():
        mode = exact.encode(torch.ones(1, 3, 256, 256, dtype=torch.float64)).latent_dist.mode()
    assert relative_error(denoiser.background(), 0.18215 * mode[0].permute(1, 2, 0).float()) < TOLERANCE


def test_conforms(model, condition):
    denoiser = model[0]
    assert (denoiser.channels, denoiser.resolution, denoiser.picture_resolution) == (4, 32, 256)
    camera = orbit(20.0, 0.0, 256)
    check_denoiser(denoiser, PictureCondition(condition.embedding, condition.latent, camera))
    assert denoiser.background().shape == (32, 32, 4)


WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory):
    """A whole folder to copy and to damage."""
    return save_folder(tmp_path_factory.mktemp("skeleton"))


def projection(width, inputs):
    return {"projection.weight": torch.zeros(width, inputs), "projection.bias": torch.zeros(width)}


def narrow(config):
    config.write_text(
        json.dumps(json.loads(config.read_text(encoding="utf-8")) | {"projection_dim": 32}), encoding="utf-8"
    )


def test_the_other_layout_loads(tmp_path):
    folder = save_folder(tmp_path, "clip_camera_projection", "proj")
    denoiser = Zero123.build(Zero123Config(weights=str(folder)))
    denoiser.load(torch.device("cpu"))
    assert relative_error(denoiser._cc.weight, save_weight()) == 0
    assert len(denoiser.weight_files()) == 4


def save_weight():
    from tests.plugins.zero123_tiny import original_state

    return original_state()["cc_projection.weight"]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: (f / "vae" / "config.json").unlink(), "vae: config.json missing"),
        (lambda f: next((f / "cc_projection").iterdir()).unlink(), "no cc_projection or clip_camera_projection"),
        (lambda f: (f / "unet" / "config.json").write_text('{"in_channels": 4}', encoding="utf-8"), "text-to-image"),
        (lambda f: (f / "unet" / "config.json").write_text("{", encoding="utf-8"), "no valid JSON"),
        (lambda f: (f / "cc_projection" / WEIGHTS).write_bytes(b"cut"), "no valid safetensors file"),
        (lambda f: save_file({"projection.bias": torch.zeros(48)}, f / "cc_projection" / WEIGHTS), "weight is missing"),
        (lambda f: save_file(projection(48, 48), f / "cc_projection" / WEIGHTS), r"\(48, 48\), \(48, 52\) is needed"),
        (
            lambda f: narrow(f / "image_encoder" / "config.json"),
            "image_encoder gives 32 numbers, unet takes tokens of 48",
        ),
    ],
)
def test_a_wrong_folder_is_refused_before_weights_are_read(skeleton, tmp_path, damage, told):
    folder = shutil.copytree(skeleton, tmp_path / "model")
    damage(folder)
    with pytest.raises(RecipeError, match=told):
        Zero123.build(Zero123Config(weights=str(folder)))


def test_half_precision_parts_run_in_float32(skeleton, tmp_path):
    folder = shutil.copytree(skeleton, tmp_path / "half")
    for part in ("vae", "image_encoder", "unet"):
        (file,) = (folder / part).glob("*.safetensors")
        save_file({k: v.half() for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    config = folder / "image_encoder" / "config.json"
    config.write_text(
        json.dumps(json.loads(config.read_text(encoding="utf-8")) | {"dtype": "float16"}), encoding="utf-8"
    )
    denoiser = Zero123.build(Zero123Config(weights=str(folder)))
    denoiser.load(torch.device("cpu"))
    picture = Picture(GOLDEN["image_u8"].float() / 255, torch.ones(256, 256, 1))
    told = denoiser.condition(Subject.of(picture, pose_cameras("pose_cond_eye")[:1]))
    assert told.embedding.dtype == told.latent.dtype == torch.float32
    assert relative_error(told.embedding[:, 0], GOLDEN["clip_embedding"]) < 5e-3, "weights rounded to half, no more"


def test_a_projection_in_a_torch_file_is_read_without_unpickling_objects(skeleton, tmp_path):
    folder = shutil.copytree(skeleton, tmp_path / "bin")
    file = folder / "cc_projection" / WEIGHTS
    state = load_file(file)
    file.unlink()
    bin_file = folder / "cc_projection" / "pytorch_model.bin"
    torch.save(state, bin_file)
    denoiser = Zero123.build(Zero123Config(weights=str(folder)))
    assert torch.equal(denoiser._source._load_projection().weight, state["projection.weight"])
    torch.save({"projection.weight": Path("x")}, bin_file)
    with pytest.raises(RecipeError, match=r"pytorch_model\.bin: cannot be read \(UnpicklingError\)"):
        denoiser._source._load_projection()


@pytest.mark.slow
@pytest.mark.parametrize("steps", [50, 75])
def test_the_demos_sampler_lands_where_the_original_does(steps, model, condition, monkeypatch):
    """DDIM, eta 0, scale 3, EMA weights: as many network calls in a row as the demo makes."""
    denoiser, kind = model
    if kind == "raw":
        pytest.skip("the trajectory was recorded with EMA weights")
    sampler = DemoSampler(steps, eta=0.0)
    assert sampler.timesteps == GOLDEN[f"ddim_S{steps}_timesteps"].tolist()
    monkeypatch.setattr("zero3d_views.sampler._noise", lambda *_: GOLDEN["z_t"].permute(0, 2, 3, 1))
    pose = GOLDEN["pose_T"][:1].float()
    monkeypatch.setattr(denoiser, "pose", lambda *_: pose)
    cameras = pose_cameras("pose_target_eye")[:1]
    found = sampler.sample(Teacher(denoiser, condition), Request(cameras, []), 3.0, lambda: None)
    latent = found.permute(0, 3, 1, 2)
    assert relative_error(latent, GOLDEN[f"ddim_S{steps}_eta0_scale3"]) < TOLERANCE


def test_a_missing_folder_is_named():
    with pytest.raises(RecipeError, match="'nanoo' is neither nano nor a file, a folder"):
        Zero123.build(Zero123Config(weights="nanoo"))


def test_several_pictures_count_by_weight_and_angle(model, condition):
    denoiser, _ = model
    picture = Picture(GOLDEN["image_u8"].float() / 255, torch.ones(256, 256, 1))
    dark = Picture(picture.rgb / 2, picture.mask)
    front, back = orbit(0.0, 0.0, 256), orbit(0.0, 180.0, 256)
    both = denoiser.condition(Subject((PosedPicture("a", picture, front), PosedPicture("b", dark, back, 3.0))))
    views = orbit(0.0, torch.tensor([0.0, 90.0, 180.0]), 32)
    shares = both.shares(views)
    torch.testing.assert_close(shares[:, 1], torch.tensor([0.25, 0.75]))
    torch.testing.assert_close(shares[:, [0, 2]], torch.eye(2), atol=1e-4, rtol=0)
    noised, sigma = torch.randn(3, 32, 32, 4, generator=torch.Generator().manual_seed(0)), torch.full((3,), 2.0)
    found = denoiser.predict(noised, sigma, both, views, ("cond",))["cond"]
    ones = [denoiser.predict(noised, sigma, one, views, ("cond",))["cond"] for one in both.pictures]
    torch.testing.assert_close(found[1], 0.25 * ones[0][1] + 0.75 * ones[1][1], atol=1e-5, rtol=1e-5)
