"""Text and picture teachers: golden numbers, stock diffusers' predictions for every branch, the latent."""

from types import SimpleNamespace

import numpy
import pytest
import torch

from tests.plugins.clip_tiny import config as clip_config
from tests.plugins.sd_tiny import (
    GOLDEN,
    VIEWS,
    make_t5,
    make_vae,
    save_deepfloyd,
    save_stable_diffusion,
    save_variations,
)
from tests.plugins.zero123_tiny import synthetic
from zero3d.cli import main
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.interfaces import Teacher
from zero3d.testing import fresh_step, random_picture
from zero3d.values import Prompt, Subject, View
from zero3d.weights import Autoencoder
from zero3d_score.sds import ScoreDistillation, SdsConfig
from zero3d_stable_diffusion.deepfloyd_if import DeepFloydConfig, DeepFloydIF
from zero3d_stable_diffusion.image_variations import ImageVariations, VariationsConfig, clip_pixels
from zero3d_stable_diffusion.stable_diffusion import StableDiffusion, StableDiffusionConfig
from zero3d_stable_diffusion.text import TextCondition
from zero3d_stable_diffusion.words import encoders

CPU = torch.device("cpu")
PROMPT = Subject(prompt=Prompt("a cat", "ugly, blurry"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("sd")
    return {
        "sd15": save_stable_diffusion(place / "sd15"),
        "sd21": save_stable_diffusion(place / "sd21", second=True),
        "sd21v": save_stable_diffusion(place / "sd21v", second=True, prediction="v_prediction"),
        "if": save_deepfloyd(place / "if"),
        "variations": save_variations(place / "variations"),
    }


MADE = {
    "sd15": (StableDiffusion, StableDiffusionConfig),
    "sd21": (StableDiffusion, StableDiffusionConfig),
    "sd21v": (StableDiffusion, StableDiffusionConfig),
    "if": (DeepFloydIF, DeepFloydConfig),
    "variations": (ImageVariations, VariationsConfig),
}


def make(folders, name, **options):
    component, config = MADE[name]
    made = component(config(weights=str(folders[name]), **options))
    made.load(CPU)
    return made


@pytest.fixture(scope="module")
def sd15(folders):
    made = make(folders, "sd15")
    return made, made.condition(PROMPT)


def contexts(text, null):
    """Two samples' texts in the directions front and back, as two cameras ask for them."""
    directions = torch.stack([text[0], text[0], text[1], text[0]])
    return TextCondition(directions, {"null": null[0], "negative": text[1]}, {})


FRONT_AND_BACK = orbit(10.0, torch.tensor([0.0, 180.0]), 16)


@pytest.mark.parametrize(
    ("name", "key"), [("sd15", "sd15_eps"), ("sd21", "sd21_eps"), ("sd21v", "sd21_v"), ("if", "if")]
)
def test_x0_is_that_of_the_stock_network_at_three_levels(folders, name, key):
    denoiser = make(folders, name)
    pixels = key == "if"
    if pixels:
        condition = denoiser.condition(PROMPT)
        condition = contexts(GOLDEN["if_context_text"], GOLDEN["if_context_null"])
        z, sigmas, stem = GOLDEN["if_z"], GOLDEN["if_sigma"], "if_x0"
    else:
        condition = contexts(GOLDEN["context_text"], GOLDEN["context_null"])
        z, sigmas, stem = GOLDEN["latent_y_over_sqrt_1_plus_sigma2"], GOLDEN["sigma_sd"], f"{key}_x0"
    for index, sigma in enumerate(sigmas.double()):
        y = (z.double() * (1 + sigma**2).sqrt()).float().permute(0, 2, 3, 1)
        noised, level = denoiser.centre + denoiser.unit * y, (denoiser.unit * sigma).float().expand(2)
        found = denoiser.predict(noised, level, condition, FRONT_AND_BACK, ("null", "cond"))
        mixed = denoiser.denoise(noised, level, condition, FRONT_AND_BACK, 7.5)
        for got, told in ((found["cond"], "text"), (found["null"], "null"), (mixed, "guided7.5")):
            wanted = GOLDEN[f"{stem}_{told}"][index].permute(0, 2, 3, 1)
            off = ((got - denoiser.centre) / denoiser.unit - wanted).abs().max()
            assert off < 1e-5 * max(1.0, float(wanted.abs().max())), (told, index)


def test_two_levels_in_one_batch_are_each_alone(folders, sd15):
    denoiser, _ = sd15
    condition = contexts(GOLDEN["context_text"], GOLDEN["context_null"])
    sigma = GOLDEN["sigma_sd"][[0, 2]].float()
    z = GOLDEN["latent_y_over_sqrt_1_plus_sigma2"]
    y = (z * (1 + sigma**2).sqrt()[:, None, None, None]).permute(0, 2, 3, 1)
    found = denoiser.predict(y, sigma, condition, FRONT_AND_BACK, ("cond",))["cond"]
    eps = GOLDEN["sd15_out_mixed_t"].permute(0, 2, 3, 1)
    assert torch.allclose(found, y - sigma[:, None, None, None] * eps, atol=2e-4)


def test_the_picture_token_and_zeros(folders):
    denoiser = make(folders, "variations", revision="")
    sigma = GOLDEN["sigma_sd"].float()
    z, tokens = GOLDEN["latent_y_over_sqrt_1_plus_sigma2"], GOLDEN["image_token"]
    camera = orbit(0.0, torch.tensor([77.0]), 16)
    for index, level in enumerate(sigma):
        for sample in range(2):
            y = (z[sample : sample + 1] * (1 + level**2).sqrt()).permute(0, 2, 3, 1)
            found = denoiser.denoise(y, level[None], tokens[sample : sample + 1], camera, 3.0)
            wanted = GOLDEN["variations_x0_guided3"][index, sample].permute(1, 2, 0)
            assert (found[0] - wanted).abs().max() < 1e-5 * max(1.0, float(wanted.abs().max()))


def test_the_picture_is_seen_as_the_readme_says(folders):
    from transformers import CLIPModel

    golden = numpy.load("tests/data/clip_features_tiny.npz")
    picture = torch.from_numpy(golden["variations_image_u8"]).float().permute(2, 0, 1)[None] / 255
    found = clip_pixels(picture, 224)
    step = found.shape[-1] // golden["variations_pixels_8th"].shape[-1]
    wanted = torch.from_numpy(golden["variations_pixels_8th"]).reshape(3, 28, 28)
    assert step == 8
    assert (found[0, :, ::8, ::8] - wanted).abs().max() < 2e-5
    tower = CLIPModel(clip_config())
    tower.load_state_dict({name: synthetic(name, tuple(p.shape)) for name, p in tower.state_dict().items()})
    with torch.no_grad():
        token = tower.visual_projection(tower.vision_model(found).pooler_output)[:, None]
    assert (token - torch.from_numpy(golden["variations_image_embeds"])).abs().max() < 2e-5


@pytest.fixture(scope="module")
def pipelines(folders):
    """Stock pipelines of the same folders."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTokenizer

    found = {}
    for name in ("sd15", "sd21", "sd21v"):
        folder = folders[name]
        found[name] = StableDiffusionPipeline(
            vae=AutoencoderKL.from_pretrained(folder / "vae"),
            text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder"),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            unet=UNet2DConditionModel.from_pretrained(folder / "unet"),
            scheduler=DDIMScheduler.from_pretrained(folder / "scheduler"),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    return found


@pytest.mark.parametrize("name", ["sd15", "sd21", "sd21v"])
def test_every_branch_is_the_stock_pipelines_prediction(folders, pipelines, name):
    denoiser, pipeline = make(folders, name), pipelines[name]
    condition = denoiser.condition(PROMPT)
    texts = {
        "null": "",
        "negative": "ugly, blurry",
        "plain": "a cat",
        **{view: f"a cat, {view} view" for view in VIEWS},
    }
    cameras = orbit(torch.tensor([0.0, 20.0, 5.0, 75.0]), torch.tensor([10.0, 100.0, -170.0, 30.0]), 16)
    t = torch.tensor([20, 500, 800, 980])
    sigma = denoiser.sigmas[t]
    noised = sigma[:, None, None, None] * torch.randn(4, 16, 16, 4, generator=torch.Generator().manual_seed(5))
    found = denoiser.predict(noised, sigma, condition, cameras, denoiser.branches)
    z = (noised / (1 + sigma**2).sqrt()[:, None, None, None]).permute(0, 3, 1, 2)
    assert set(found) == {"cond", *texts}
    pipeline.scheduler.set_timesteps(1000)
    for branch in found:
        for row, view in enumerate(VIEWS):
            text = texts[view if branch == "cond" else branch]
            context = pipeline.encode_prompt(text, CPU, 1, False)[0]
            with torch.no_grad():
                out = pipeline.unet(z[row : row + 1], t[row], encoder_hidden_states=context).sample
            x0 = pipeline.scheduler.step(out, t[row], z[row : row + 1]).pred_original_sample[0].permute(1, 2, 0)
            off = float((found[branch][row] - x0).abs().max())
            assert off < 1e-5 * max(1.0, float(x0.abs().max())), (branch, view)


def test_ifs_texts_are_the_stock_pipelines(folders):
    from diffusers import DDPMScheduler, IFPipeline, UNet2DConditionModel
    from transformers import AutoTokenizer, T5EncoderModel

    folder = folders["if"]
    pipeline = IFPipeline(
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=T5EncoderModel.from_pretrained(folder / "text_encoder"),
        unet=UNet2DConditionModel.from_pretrained(folder / "unet"),
        scheduler=DDPMScheduler.from_pretrained(folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    denoiser = make(folders, "if")
    condition = denoiser.condition(Subject(prompt=Prompt("A Cat", "")))
    wanted, _ = pipeline.encode_prompt("A Cat, side view", do_classifier_free_guidance=False, device=CPU)
    assert torch.allclose(condition.directions[1], wanted[0], atol=1e-6)
    empty, _ = pipeline.encode_prompt("", do_classifier_free_guidance=False, device=CPU)
    assert torch.allclose(condition.others["null"], empty[0], atol=1e-6)


def test_t5_reads_through_the_mask(monkeypatch):
    """The golden context: with the mask, five away from that without it."""
    given = SimpleNamespace(input_ids=GOLDEN["t5_ids"], attention_mask=GOLDEN["t5_mask"])
    monkeypatch.setattr(encoders, "read_tokenizer", lambda folder, kind: None)
    monkeypatch.setattr(encoders, "_tokens", lambda tokenizer, texts: given)
    found = encoders.t5_context(["", ""], None, make_t5, CPU)[:, ::2]
    assert (found - GOLDEN["t5_context"]).abs().max() < 1e-4
    assert (GOLDEN["t5_context"] - GOLDEN["t5_context_without_mask"]).abs().max() > 1


def test_noise_levels(folders):
    sd, deep = make(folders, "sd15"), make(folders, "if")
    for t, sigma in zip(GOLDEN["t"].tolist(), GOLDEN["sigma_sd"].tolist(), strict=True):
        assert float(sd.sigmas[t]) == pytest.approx(sigma, rel=1e-5)
    for t, sigma in zip(GOLDEN["if_t"].tolist(), GOLDEN["if_sigma"].tolist(), strict=True):
        assert float(deep.sigmas[t]) / deep.unit == pytest.approx(sigma, rel=1e-4)
    assert (deep.unit, deep.centre, deep.channels, deep.group) == (0.5, 0.5, 3, 1)


@pytest.mark.parametrize("views", [1, 2, 3])
def test_perp_neg_asks_its_branches_for_any_number_of_views(sd15, views):
    """Each view's gradient is what it gets alone: threestudio mixes views up."""
    denoiser, condition = sd15
    guidance = ScoreDistillation(
        SdsConfig(guidance_scale=7.5, perp_neg=True, min_t=0.5, max_t=0.501), Teacher(denoiser)
    )
    guidance.teacher.condition = condition
    assert set(guidance.branches) <= set(denoiser.branches)
    latent = torch.randn(views, 16, 16, 4, generator=torch.Generator().manual_seed(1))
    cameras = orbit(10.0, torch.linspace(20, 170, views), 16)
    step = fresh_step(0, 10)
    whole = guidance.gradient(View(latent, torch.ones(views, 16, 16, 1)), cameras, step).gradients["image"]
    assert torch.isfinite(whole).all()
    assert whole.shape == latent.shape
    first = guidance.gradient(View(latent[:1], torch.ones(1, 16, 16, 1)), cameras[:1], fresh_step(0, 10))
    assert torch.allclose(first.gradients["image"][0], whole[0], rtol=1e-3, atol=1e-4)


def test_attention_runs_in_sdpa(sd15):
    from diffusers.models.attention_processor import AttnProcessor2_0

    denoiser, _ = sd15
    assert {type(p) for p in denoiser._unet.attn_processors.values()} == {AttnProcessor2_0}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_near(folders, sd15, dtype):
    denoiser, condition = make(folders, "sd15", dtype=dtype, vae_dtype=dtype), sd15[1]
    assert denoiser.dtype == getattr(torch, dtype)
    y = torch.randn(2, 16, 16, 4, generator=torch.Generator().manual_seed(2))
    sigma = torch.tensor([0.5, 2.0])
    found = denoiser.predict(y, sigma, condition, FRONT_AND_BACK, ("cond",))["cond"]
    wanted = sd15[0].predict(y, sigma, condition, FRONT_AND_BACK, ("cond",))["cond"]
    assert found.dtype == torch.float32
    assert 0 < float((found - wanted).abs().max()) < 0.1 * float(wanted.abs().max())
    decoded = denoiser.decode(y)
    assert decoded.dtype == torch.float32
    assert decoded.shape == (2, 128, 128, 3)


def test_samples_at_once_changes_nothing(folders, sd15):
    few = make(folders, "sd15", samples_at_once=3)
    y = torch.randn(2, 16, 16, 4, generator=torch.Generator().manual_seed(2))
    asked = (y, torch.tensor([0.5, 2.0]), sd15[1], FRONT_AND_BACK, few.branches)
    calls = []
    few._unet.register_forward_hook(lambda module, given, out: calls.append(len(given[0])))
    found, wanted = few.predict(*asked), sd15[0].predict(*asked)
    assert calls == [3, 3, 3, 3, 3, 1]
    assert all(torch.allclose(found[name], wanted[name], atol=1e-5) for name in wanted)


def test_the_sliced_autoencoder_gives_the_same_gradient_and_holds_one_pictures_graph():
    vae = make_vae()
    calls = []
    vae.encoder.register_forward_hook(lambda module, given, out: calls.append(len(given[0])))
    image = torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    weight = torch.randn(3, 8, 8, 4, generator=torch.Generator().manual_seed(2))

    def gradient(sliced):
        leaf = image.clone().requires_grad_()
        latent = Autoencoder(vae, 0.18215, sliced).encode(leaf)
        (found,) = torch.autograd.grad((latent * weight).sum(), leaf)
        return latent.detach(), found

    whole, wanted = gradient(False)
    assert calls == [3]
    rows, found = gradient(True)
    assert calls[1:] == [1] * 6, "each again in the backward pass"
    assert torch.allclose(rows, whole, atol=1e-5)
    assert torch.allclose(found, wanted, atol=1e-5)


def test_the_latent_is_the_modes_scaled(folders, sd15):
    from diffusers import AutoencoderKL

    vae = AutoencoderKL.from_pretrained(folders["sd15"] / "vae")
    picture = random_picture(128, 3).rgb[None]
    with torch.no_grad():
        wanted = 0.18215 * vae.encode((2 * picture - 1).permute(0, 3, 1, 2).contiguous()).latent_dist.mean
        back = vae.decode(wanted / 0.18215).sample
    assert torch.allclose(sd15[0].encode(picture), wanted.permute(0, 2, 3, 1), atol=1e-5)
    assert torch.allclose(sd15[0].decode(wanted.permute(0, 2, 3, 1)), (back.permute(0, 2, 3, 1) + 1) / 2, atol=1e-4)


def test_the_picture_size_is_a_choice(folders):
    assert make(folders, "sd15").picture_resolution == 128
    small = make(folders, "sd21v", image_size=64)
    assert (small.picture_resolution, small.resolution) == (64, 8)


def test_size_counts_every_part(folders):
    from diffusers import UNet2DConditionModel

    denoiser = make(folders, "sd15")
    count, size = denoiser.size(CPU)
    unet = sum(p.numel() for p in UNet2DConditionModel.from_pretrained(folders["sd15"] / "unet").parameters())
    assert count > unet > 1_000_000
    assert size == 4 * count
    half = StableDiffusion(StableDiffusionConfig(weights=str(folders["sd15"]), dtype="bfloat16"))
    assert half.size(CPU) == (count, size - 2 * unet)


def test_views_of_a_picture_without_cameras(folders, tmp_path, capsys):
    out = tmp_path / "views"
    options = ["--azimuth", "0,90", "--steps", "4", "--device", "cpu", "--weights", str(folders["variations"])]
    asked = ["views", "examples/mug.png", "--denoiser", "image_variations", "--out", str(out), *options]
    assert main(asked) == 0, capsys.readouterr().err
    assert len(list(out.glob("*_s0.png"))) == 2


def test_views_of_a_text_teacher_is_one_line(folders, tmp_path, capsys):
    asked = ["views", "examples/mug.png", "--denoiser", "stable_diffusion", "--weights", str(folders["sd15"])]
    assert main([*asked, "--out", str(tmp_path / "no"), "--device", "cpu"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "--denoiser" in line
    assert "prompt" in line


def test_bad_options_are_one_line():
    for component, config in ((StableDiffusion, StableDiffusionConfig), (DeepFloydIF, DeepFloydConfig)):
        assert component.Config is config
        for options, told in (
            ({"dtype": "half"}, "dtype"),
            ({"view_words": "after"}, "view_words"),
            ({"front_deg": 200.0}, "front_deg"),
            ({"front_deg": 100.0, "back_deg": 90.0}, "back_deg"),
            ({"overhead_deg": 120.0}, "overhead_deg"),
            ({"texts": {"left": "a cat"}}, "texts"),
            ({"unconditional": "none"}, "unconditional"),
            ({"debias_words": [1]}, "debias_words"),
            ({"samples_at_once": -1}, "samples_at_once"),
        ):
            with pytest.raises(ValueError, match=f"^{told}: "):
                config(**options)
    for options, told in (
        ({"prediction": "x0"}, "prediction"),
        ({"image_size": 100}, "image_size"),
        ({"token": "<cat>"}, "token"),
        ({"vae_dtype": "int8"}, "vae_dtype"),
    ):
        with pytest.raises(ValueError, match=f"^{told}: "):
            StableDiffusionConfig(**options)


def test_another_prediction_than_the_weights_say_is_refused(folders):
    with pytest.raises(RecipeError, match=r"denoiser.prediction: epsilon, but .* predicts v_prediction"):
        StableDiffusion(StableDiffusionConfig(weights=str(folders["sd21v"]), prediction="epsilon"))
