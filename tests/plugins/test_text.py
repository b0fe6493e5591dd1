"""Text to picture to 3D, with a tiny Stable Diffusion pipeline made here."""

import json
import shutil

import numpy
import pytest
import torch
from PIL import Image

from zero3d import PictureError
from zero3d.cli import main
from zero3d.plugins import load_plugins
from zero3d.run import open_session, resume, run
from zero3d_text.source import SUFFIX, PictureFromText, TextConfig

SIDE = 64
RUN = [
    "steps=2",
    "device=cpu",
    "input.elevation_deg=20",
    "denoiser={type: gaussian, resolution: 16}",
    "cameras={type: sphere, resolution: 16}",
    "representation.resolution=8",
    "observers={}",
    "export={}",
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A whole pipeline in diffusers' layout, a few megabytes, that has learned nothing."""
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    folder = tmp_path_factory.mktemp("text")
    letters = [*map(chr, range(97, 123)), ",", "."]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: k for k, token in enumerate(tokens)}), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        text = CLIPTextConfig(
            vocab_size=len(tokens),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            bos_token_id=len(tokens) - 2,
            eos_token_id=len(tokens) - 1,
        )
        pipeline = StableDiffusionPipeline(
            text_encoder=CLIPTextModel(text),
            tokenizer=CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77),
            unet=UNet2DConditionModel(
                sample_size=SIDE // 2,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                block_out_channels=(32, 32),
                layers_per_block=1,
                cross_attention_dim=32,
            ),
            vae=AutoencoderKL(
                down_block_types=("DownEncoderBlock2D",) * 2,
                up_block_types=("UpDecoderBlock2D",) * 2,
                block_out_channels=(32, 32),
                latent_channels=4,
            ),
            scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder / "model")
    return folder / "model"


@pytest.fixture
def mask(tmp_path):
    y, x = numpy.mgrid[:SIDE, :SIDE]
    disc = (x - 30) ** 2 + (y - 34) ** 2 < 18**2
    Image.fromarray(numpy.where(disc, 255, 0).astype(numpy.uint8)).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def image(model, **options):
    words = {"type": "text", "prompt": "a red mug", "model": str(model), "steps": 2, **options}
    return f"image={json.dumps(words)}"


def draw(model, **options):
    return PictureFromText(TextConfig("a red mug", str(model), **{"steps": 2, **options})).read(None)


def expected(model, prompt, seed, **options):
    """By diffusers' own pipeline class."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(model, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    return numpy.array(pipeline(prompt, num_inference_steps=2, generator=generator, **options).images[0])


def test_the_picture_is_the_pipelines(model):
    found = draw(model, seed=3)
    assert found.rgba.shape == (SIDE, SIDE, 4)
    assert found.rgba[..., 3].min() == 255
    assert not found.masked
    wanted = expected(model, "a red mug" + SUFFIX, 3, guidance_scale=7.5)
    numpy.testing.assert_array_equal(found.rgba[..., :3], wanted)
    assert "a red mug" in found.origin
    assert "seed 3" in found.origin


def test_every_option_reaches_the_pipeline(model):
    found = draw(model, suffix=", in oil", negative_prompt="blue", guidance_scale=3.0, height=80, width=96)
    wanted = expected(model, "a red mug, in oil", 0, negative_prompt="blue", guidance_scale=3.0, height=80, width=96)
    numpy.testing.assert_array_equal(found.rgba[..., :3], wanted)


def test_another_seed_draws_another_picture(model):
    assert (draw(model, seed=1).rgba != draw(model, seed=2).rgba).any()


def test_from_words_to_a_run_that_resumes_without_the_model(model, mask, tmp_path, monkeypatch):
    out, copy = tmp_path / "run", tmp_path / "model"
    shutil.copytree(model, copy)
    overrides = [image(copy), f"out={out}", f"input.mask={mask}", *RUN]
    run("recipes/nano.yaml", load_plugins(), overrides, tell=lambda line: None)
    kept = numpy.array(Image.open(out / "picture.png"))
    numpy.testing.assert_array_equal(kept[..., :3], expected(model, "a red mug" + SUFFIX, 0))
    numpy.testing.assert_array_equal(kept[..., 3], numpy.array(Image.open(mask)))
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["image"].startswith("text: a red mug, a single object")
    assert any("drawn from 'a red mug'" in note for note in manifest["notes"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.png", "model", "run"], "nothing else is left"

    shutil.rmtree(copy)
    mask.unlink()
    monkeypatch.setattr("zero3d_text.pipeline.draw", lambda config: pytest.fail("drawn again"))
    session = open_session(out, load_plugins(), tell=lambda line: None)
    assert session.parts.cameras.resolution == 16
    resume(str(out), load_plugins(), tell=lambda line: None)


def disc_on_white(config):
    y, x = numpy.mgrid[:SIDE, :SIDE] + 0.5
    inside = (x - 32) ** 2 + (y - 32) ** 2 < 16**2
    rgb = numpy.where(inside[..., None], (180, 40, 30), (255, 255, 255))
    return numpy.dstack([rgb, numpy.full((SIDE, SIDE), 255)]).astype(numpy.uint8)


def test_the_object_is_found_before_a_plain_background(model, tmp_path, monkeypatch):
    monkeypatch.setattr("zero3d_text.pipeline.draw", disc_on_white)
    told = []
    run("recipes/nano.yaml", load_plugins(), [image(model), f"out={tmp_path / 'run'}", *RUN], tell=told.append)
    alpha = numpy.array(Image.open(tmp_path / "run/picture.png"))[..., 3]
    numpy.testing.assert_array_equal(alpha > 0, disc_on_white(None)[..., 1] == 40)
    assert any("plain background #ffffff" in line for line in told)


def refused(capsys, tmp_path, *overrides):
    """The one line of a refused run that left nothing behind."""
    code = main(["run", "recipes/nano.yaml", f"out={tmp_path / 'run'}", *RUN, *overrides])
    line = capsys.readouterr().err
    assert code == 2, line
    assert line.count("\n") == 1, line
    assert not (tmp_path / "run").exists()
    return line


def test_a_picture_without_an_object_is_kept_for_the_user_to_cut_out(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("zero3d_text.pipeline.draw", lambda config: numpy.full((SIDE, SIDE, 4), 255, dtype=numpy.uint8))
    line = refused(capsys, tmp_path, image(model), "input.mask=background")
    kept = tmp_path / "run.picture.png"
    assert str(kept) in line
    assert "shows no object" in line
    assert "input.mask=FILE" in line
    assert Image.open(kept).size == (SIDE, SIDE)


def test_nothing_is_drawn_for_a_recipe_that_cannot_run(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("zero3d_text.pipeline.draw", lambda config: pytest.fail("drawn"))
    assert "representation.channels" in refused(capsys, tmp_path, image(model), "representation.channels=5")


def without_parts(model, folder, *names):
    shutil.copytree(model, folder)
    for name in names:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda model, place: place / "lost", ["neither a folder nor a hub id"]),
        (lambda model, place: without_parts(model, place / "m", "model_index.json"), ["no model_index.json"]),
        (lambda model, place: without_parts(model, place / "m", "unet"), ["cannot be loaded", "download it again"]),
        (
            lambda model, place: without_parts(model, place / "m", "vae/diffusion_pytorch_model.safetensors"),
            ["cannot be loaded", "safetensors"],
        ),
        (
            lambda model, place: "nobody/nothing-at-all",
            ["https://huggingface.co/nobody/nothing-at-all", "or give a folder"],
        ),
    ],
)
def test_a_model_that_is_not_there(model, prepare, said, tmp_path, capsys):
    name = prepare(model, tmp_path)
    line = refused(capsys, tmp_path, image(name, offline=True))
    assert "image.model: " in line
    for part in [str(name), *said]:
        assert part in line


def test_a_model_that_draws_no_pictures_from_text(model, tmp_path, capsys):
    folder = without_parts(model, tmp_path / "m")
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "Zero123Pipeline"}), encoding="utf-8")
    assert "is no text-to-image model" in refused(capsys, tmp_path, image(folder))


def test_a_models_own_code_is_not_run(model, tmp_path, capsys):
    folder = without_parts(model, tmp_path / "m")
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    (folder / "model_index.json").write_text(json.dumps({**index, "unet": ["trap", "Trap"]}), encoding="utf-8")
    (folder / "unet/trap.py").write_text(
        f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Trap: pass\n", encoding="utf-8"
    )
    assert "cannot be loaded" in refused(capsys, tmp_path, image(folder))
    assert not (tmp_path / "sprung").exists()


def test_weights_that_are_pickled_are_not_read(model, tmp_path, capsys):
    folder = without_parts(model, tmp_path / "m", "unet/diffusion_pytorch_model.safetensors")
    torch.save({}, folder / "unet/diffusion_pytorch_model.bin")
    assert "with safetensors" in refused(capsys, tmp_path, image(folder))


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": " "}, {"model": ""}, {"steps": 0}, {"guidance_scale": -1.0}, {"height": 65}, {"width": 4096},
        {"seed": -1}, {"dtype": "int8"},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused_by_name(options):
    with pytest.raises(ValueError, match=rf"^{next(iter(options))}: "):
        TextConfig(**{"prompt": "a", "model": "b", **options})


def test_an_option_out_of_range_is_told_with_its_place(tmp_path, capsys):
    assert "recipes/nano.yaml: image.steps: 0; 1 to 1000" in refused(capsys, tmp_path, image("m", steps=0))


def test_a_picture_that_the_safety_checker_blanked_is_refused(model, monkeypatch):
    from diffusers import StableDiffusionPipeline

    class Flagged:
        images = (Image.new("RGB", (SIDE, SIDE)),)
        nsfw_content_detected = (True,)

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", lambda self, **options: Flagged())
    with pytest.raises(PictureError, match=r"safety checker.*change prompt or seed"):
        draw(model)


def test_a_size_that_the_model_cannot_draw_is_told(model, monkeypatch):
    from diffusers import StableDiffusionPipeline

    def fail(self, **options):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(StableDiffusionPipeline, "__call__", fail)
    with pytest.raises(PictureError, match=r"out of memory.*change height"):
        draw(model)
