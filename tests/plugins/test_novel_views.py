"""Zero123++ and SV3D: their views, what they are conditioned on, their files, and mistakes in one line before loading."""

import json
import math
import shutil

import pytest
import torch

from tests.plugins.novel_views_tiny import EXTRACTORS, save_sv3d, save_zero123plus, sv3d_config, sv3d_state, write
from zero3d import RecipeError
from zero3d.geometry import orbit
from zero3d.testing import random_picture
from zero3d.values import Picture, Subject
from zero3d_novel_views.sv3d.denoiser import Sv3d
from zero3d_novel_views.sv3d.options import Sv3dConfig
from zero3d_novel_views.sv3d.pixels import clip_pixels
from zero3d_novel_views.zero123plus.denoiser import Zero123Plus, before_grey
from zero3d_novel_views.zero123plus.extractor import Extractor
from zero3d_novel_views.zero123plus.options import Zero123PlusConfig


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_zero123plus(tmp_path_factory.mktemp("models") / "zero123plus-v1.2")


@pytest.fixture(scope="module")
def tile(folder):
    made = Zero123Plus(Zero123PlusConfig(weights=str(folder), size=64))
    made.load(torch.device("cpu"))
    return made


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sv3d")
    return save_sv3d(folder / "sv3d_p.safetensors"), sv3d_config(folder)


@pytest.fixture(scope="module")
def video(file):
    made = Sv3d(Sv3dConfig(weights=str(file[0]), config=file[1], size=64, decode_frames=5))
    made.load(torch.device("cpu"))
    return made


def seen_from(elevation, azimuth, size=64):
    return Subject.of(random_picture(size), orbit(elevation, azimuth, size))


def degrees(cameras):
    return torch.rad2deg(cameras.azimuth) % 360, torch.rad2deg(cameras.elevation)


@pytest.mark.parametrize(("version", "high", "low"), [("auto", 20, -10), ("1.1", 30, -20), ("1.2", 20, -10)])
def test_zero123plus_stands_by_the_pictures_azimuth_and_at_its_own_elevations(folder, tmp_path, version, high, low):
    weights = folder if version == "auto" else shutil.copytree(folder, tmp_path / "weights")
    made = Zero123Plus(Zero123PlusConfig(weights=str(weights), version=version, size=64))
    azimuth, elevation = degrees(made.views(seen_from(55.0, 40.0)))
    assert torch.allclose(azimuth, torch.tensor([70.0, 130.0, 190.0, 250.0, 310.0, 10.0]), atol=1e-3)
    assert torch.allclose(elevation, torch.tensor([high, low] * 3).float(), atol=1e-3)
    views = made.views(Subject())
    assert views.fov == pytest.approx(math.radians(30))
    assert float(views.distance[0] * math.tan(views.fov / 2)) == pytest.approx(2 * 16 / 35)


def test_sv3ds_orbit_ends_where_the_picture_was_taken(video):
    azimuth, elevation = degrees(video.views(seen_from(12.0, 40.0)))
    assert torch.allclose(elevation, torch.full((21,), 12.0), atol=1e-3)
    assert float(azimuth[-1]) == pytest.approx(40, abs=1e-3)
    assert torch.allclose(azimuth.diff() % 360, torch.full((20,), 360 / 21), atol=1e-3)
    other = Sv3d.__new__(Sv3d)
    other.config = Sv3dConfig(size=64, clockwise=True, elevation_deg=5.0)
    azimuth, elevation = degrees(other.views(seen_from(12.0, 0.0)))
    assert torch.allclose(azimuth.diff() % 360, torch.full((20,), 360 - 360 / 21), atol=1e-3)
    assert torch.allclose(elevation, torch.full((21,), 5.0), atol=1e-3)


@pytest.mark.parametrize("name", ["tile", "video"])
def test_views_that_are_not_its_own_are_refused(name, request):
    made = request.getfixturevalue(name)
    subject = seen_from(20.0, 0.0)
    condition, n = made.condition(subject), made.group
    noised = torch.zeros(n, made.resolution, made.resolution, 4)
    sigma, views = torch.ones(n), made.views(subject)
    for wrong in (orbit(20.0, torch.arange(n) * 360.0 / n + 3, 64), views[torch.zeros(n, dtype=torch.long)]):
        with pytest.raises(ValueError, match="not its own"):
            made.predict(noised, sigma, condition, wrong, ("cond",))
    with pytest.raises(ValueError, match="together"):
        made.predict(noised[1:], sigma[1:], condition, views[torch.arange(1, n)], ("cond",))
    with pytest.raises(ValueError, match="several noise levels"):
        made.predict(noised, torch.arange(1.0, n + 1), condition, views, ("cond",))


def test_what_zero123plus_is_conditioned_on(tile, folder):
    from transformers import CLIPTextModel, CLIPVisionModelWithProjection

    picture = random_picture(64)
    condition = tile.condition(Subject.of(picture, orbit(20.0, 0.0, 64)))
    grey = before_grey(picture, 127 / 255).permute(2, 0, 1)[None]
    ids = torch.tensor([[512] + [513] * 76])
    text = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    vision = CLIPVisionModelWithProjection.from_pretrained(folder / "vision_encoder").eval()
    pixels = torch.nn.functional.interpolate(grey, (56, 56), mode="bicubic", antialias=True).clamp(0, 1)
    clip = EXTRACTORS["feature_extractor_clip"]
    mean, std = (torch.tensor(clip[key])[:, None, None] for key in ("image_mean", "image_std"))
    with torch.no_grad():
        empty = text(input_ids=ids).last_hidden_state
        token = vision(pixel_values=(pixels - mean) / std).image_embeds
        latent = tile._autoencoder.vae.encode((grey - 0.5) / 0.8).latent_dist.mode()
        null = tile._autoencoder.vae.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mode()
    assert torch.allclose(condition.context["null"], empty, atol=1e-5)
    ramp = torch.linspace(0, 1, 77)[None, :, None]
    assert torch.allclose(condition.context["cond"], empty + ramp * token[:, None], atol=1e-5)
    assert torch.allclose(condition.latent["cond"], latent, atol=1e-5)
    assert torch.allclose(condition.latent["null"], null, atol=1e-5)


def test_the_object_stands_before_grey():
    mask = torch.zeros(2, 2, 1)
    mask[0, 0] = 1
    found = before_grey(Picture(torch.where(mask > 0, 0.25, 1.0).expand(2, 2, 3), mask), 0.5)
    assert found[..., 0].tolist() == [[0.25, 0.5], [0.5, 0.5]]


@pytest.mark.parametrize("name", EXTRACTORS)
def test_an_extractor_is_that_of_transformers(name, folder):
    """But for the rounding to 8 bits."""
    from transformers import CLIPImageProcessor

    wave = torch.linspace(0, 9, 80).sin()
    rgb = (255 * (0.5 + 0.4 * wave[:, None, None] * wave[None, :, None] * torch.tensor([1.0, 0.5, -1.0]))).byte()
    theirs = CLIPImageProcessor.from_pretrained(folder / name)(images=rgb.numpy(), return_tensors="pt").pixel_values
    ours = Extractor.read(folder, name)(rgb.permute(2, 0, 1)[None] / 255)
    assert ours.shape == theirs.shape
    assert float((ours - theirs).abs().max()) < 1.5 / 255 / 0.26


@pytest.mark.parametrize("side", [64, 90, 576])
def test_sv3ds_clip_pixels_are_those_of_stable_video_diffusion(side):
    from diffusers.pipelines.stable_video_diffusion.pipeline_stable_video_diffusion import _resize_with_antialiasing

    from zero3d.weights import CLIP_MEAN, CLIP_STD

    picture = random_picture(side).rgb.permute(2, 0, 1)[None]
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    expected = ((_resize_with_antialiasing(2 * picture - 1, (56, 56)) + 1) / 2 - mean) / std
    assert torch.allclose(clip_pixels(picture, 56), expected, atol=1e-5)


def test_frames_are_decoded_together_and_single_ones_alone(video):
    latent = torch.randn(21, 8, 8, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, one = video.decode(latent), video.decode(latent[:1])
        z = latent.permute(0, 3, 1, 2) / 0.18215
        part = video._vae.decode(z[5:10], num_frames=5).sample.permute(0, 2, 3, 1)
    assert torch.allclose(whole[5:10], (part + 1) / 2, atol=1e-5)
    assert not torch.allclose(whole[:1], one, atol=1e-3)


def test_every_tensor_of_the_video_decoder_is_used(file):
    source = Sv3d(Sv3dConfig(weights=str(file[0]), config=file[1], size=64))._source
    given = {n for n in sv3d_state() if n.startswith("first_stage_model.decoder.")}
    assert len({n for n in source.state("vae") if n.startswith("decoder.")}) == len(given)


# -- files and mistakes


def report(component, path, config=""):
    return "\n".join(component.inspect_weights(path, config))


def test_inspect_says_what_is_there(folder, file, tmp_path):
    assert "Zero123++ in diffusers layout" in report(Zero123Plus, folder)
    assert report(Zero123Plus, folder).count("fits") == 4
    assert report(Sv3d, *file).count("  fits") == 3
    assert report(Sv3d, file[0]).count("does not fit") == 3  # of the published size it is not
    assert Sv3d.inspect_weights(folder) is None
    assert Zero123Plus.inspect_weights(file[0]) is None
    assert Zero123Plus.inspect_weights(tmp_path) is None


def without(path):
    return lambda root: shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()


def changed(path, **entries):
    def change(root):
        found = json.loads((root / path).read_text(encoding="utf-8"))
        write(root / path, {**found, **entries})

    return change


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (without("feature_extractor_vae"), "preprocessor_config.json missing; download the whole model"),
        (without("feature_extractor_clip/preprocessor_config.json"), "preprocessor_config.json missing"),
        (without("vision_encoder"), "no folder vision_encoder"),
        (without("tokenizer"), "no folder tokenizer"),
        (without("unet/diffusion_pytorch_model.safetensors"), "unet: no weights"),
        (without("scheduler"), "scheduler_config.json missing"),
        (without("model_index.json"), "not Zero123++ (no ramping_coefficients"),
        (lambda root: write(root / "model_index.json", {"_class_name": "StableDiffusionPipeline"}), "is StableDiff"),
        (changed("model_index.json", ramping_coefficients=[1, 2]), "ramping_coefficients are no 77 numbers"),
        (changed("scheduler/scheduler_config.json", prediction_type="epsilon"), "predicts 'epsilon'"),
        (changed("scheduler/scheduler_config.json", beta_schedule="squaredcos_cap_v2"), "beta_schedule is"),
        (changed("unet/config.json", in_channels=8), "takes 8 channels"),
        (changed("unet/config.json", cross_attention_dim=64), "its parts do not fit"),
        (changed("unet/config.json", layers_per_block=2), "it is another network, or of another size"),
        (changed("feature_extractor_clip/preprocessor_config.json", resample=1), "resample is 1; 2"),
        (changed("feature_extractor_vae/preprocessor_config.json", size={"height": 1, "width": 2}), "no size of a"),
        (changed("feature_extractor_vae/preprocessor_config.json", crop_size=99), "crops to 99 pixels"),
    ],
)
def test_a_spoilt_folder_is_refused_in_one_line(spoil, line, folder, tmp_path):
    root = shutil.copytree(folder, tmp_path / "copy")
    spoil(root)
    with pytest.raises(RecipeError, match=r"^denoiser\.weights: ") as error:
        Zero123Plus(Zero123PlusConfig(weights=str(root), size=64))
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_that_are_no_folder_or_no_file(file, folder, tmp_path):
    with pytest.raises(RecipeError, match="is one file; Zero123"):
        Zero123Plus(Zero123PlusConfig(weights=str(file[0])))
    with pytest.raises(RecipeError, match=r"neither a folder nor a hub id; get sudo-ai/zero123plus-v1\.2 from https"):
        Zero123Plus(Zero123PlusConfig(weights="no where/at all"))
    with pytest.raises(RecipeError, match=r"no such file; get sv3d_p.safetensors from https"):
        Sv3d(Sv3dConfig(weights=str(tmp_path / "sv3d_p.safetensors")))
    with pytest.raises(RecipeError, match=r"is of no network told its cameras, not SV3D_p; get https"):
        Sv3d(Sv3dConfig(weights=str(folder)))


def cut(*prefixes):
    return lambda state: {name: t for name, t in state.items() if not name.startswith(prefixes)}


def vector(width):
    """As if the U-Net were told a vector of this width."""
    name = "model.diffusion_model.label_emb.0.0.weight"
    return lambda state: {**state, name: torch.zeros(128, width)}


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (vector(256), "is of SV3D_u, which is not told its cameras, not SV3D_p"),
        (vector(768), "is of Stable Video Diffusion"),
        (cut("model.diffusion_model.label_emb"), "is of Zero-1-to-3"),
        (cut("model.diffusion_model"), "is of no network that is known here"),
        (cut("conditioner.embedders.0"), "no image_encoder (no tensor named conditioner"),
        (cut("first_stage_model."), "no vae (no tensor named first_stage_model.decoder."),
        (cut("first_stage_model.decoder.conv_in"), "it is another network"),
        (cut("model.diffusion_model.out.0"), "conv_norm_out"),
    ],
)
def test_a_spoilt_file_is_refused_in_one_line(spoil, line, file, tmp_path):
    path = save_sv3d(tmp_path / "model.safetensors", spoil(sv3d_state()))
    with pytest.raises(RecipeError, match=r"^denoiser\.weights: ") as error:
        Sv3d(Sv3dConfig(weights=str(path), config=file[1], size=64))
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("config", "options", "line"),
    [
        (Zero123PlusConfig, {"version": "2"}, "version: '2'; one of auto, 1.1, 1.2"),
        (Zero123PlusConfig, {"version": "1.1"}, "are of 1.2; set version=auto"),
        (Zero123PlusConfig, {"size": 100}, "size: 100; a multiple of 64"),
        (Zero123PlusConfig, {"grey": 2}, "grey: 2"),
        (Zero123PlusConfig, {"fov_deg": 0}, "fov_deg: 0"),
        (Zero123PlusConfig, {"distance": -1}, "distance: -1"),
        (Sv3dConfig, {"elevation_deg": 90}, "elevation_deg: 90"),
        (Sv3dConfig, {"decode_frames": 0}, "decode_frames: 0"),
        (Sv3dConfig, {"dtype": "float8"}, "dtype: 'float8'"),
        (Sv3dConfig, {"weights": ""}, "weights: empty"),
    ],
)
def test_options_out_of_range(config, options, line):
    with pytest.raises(ValueError) as error:
        config(**options)
    assert line in str(error.value)


def test_the_command_views_refuses_what_draws_jointly(folder, tmp_path, capsys):
    from zero3d.cli import main

    command = [
        "views",
        "examples/mug.png",
        "--denoiser",
        "zero123plus",
        "--weights",
        str(folder),
        "--option",
        "size=64",
    ]
    assert main([*command, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert "draws 6 views jointly" in said
    assert said.count("\n") == 1


def test_version_follows_the_name():
    assert Zero123PlusConfig("sudo-ai/zero123plus-v1.1").elevations[:2] == [30, -20]
    assert Zero123PlusConfig("somebody/zero123plus").elevations[:2] == [20, -10]
