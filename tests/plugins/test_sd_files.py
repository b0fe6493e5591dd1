"""Checkpoint files of the original layout, and weights of other families: what they are, in one line, before anything
loads."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.plugins.sd_tiny import (
    UNET,
    original_state,
    save_clip_tokenizer,
    save_deepfloyd,
    save_stable_diffusion,
    save_variations,
    single_file_config,
    text_config,
)
from tests.plugins.zero123_tiny import SPEC
from tests.plugins.zero123_tiny import original_state as zero123_state
from tests.plugins.zero123_tiny import save_folder as save_zero123
from zero3d.cli import main
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.values import Prompt, Subject
from zero3d_stable_diffusion.deepfloyd_if import DeepFloydConfig, DeepFloydIF
from zero3d_stable_diffusion.image_variations import ImageVariations, VariationsConfig
from zero3d_stable_diffusion.models.schedule import noise_levels
from zero3d_stable_diffusion.models.single_file import PUBLISHED, SingleFile
from zero3d_stable_diffusion.stable_diffusion import StableDiffusion, StableDiffusionConfig

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def files(place):
    """One file of each kind: 1 as a pickled .ckpt, 2 as safetensors."""
    torch.save({"state_dict": original_state(), "global_step": 7}, place / "one.ckpt")
    save_file({k: v.contiguous() for k, v in original_state(second=True).items()}, place / "two.safetensors")
    save_clip_tokenizer(place / "tokenizer")
    return {False: place / "one.ckpt", True: place / "two.safetensors"}


def opened(place, files, second, **options):
    known = {"config": single_file_config(place, second), "tokenizer": str(place / "tokenizer"), "offline": True}
    prediction = {"prediction": "v_prediction"} if second else {}
    return StableDiffusion(StableDiffusionConfig(weights=str(files[second]), **(known | prediction | options)))


@pytest.mark.parametrize("second", [False, True])
def test_a_file_is_read_as_diffusers_own_converter_reads_it(place, files, second):
    """Every tensor of U-Net, VAE and text tower, converted there by other code."""
    from diffusers.loaders import single_file_utils as theirs
    from transformers import CLIPTextConfig, CLIPTextModel

    denoiser = opened(place, files, second, ema=False)
    model = denoiser._model
    state = original_state(second)
    unet = theirs.convert_ldm_unet_checkpoint(dict(state), dict(model.configs["unet"]))
    vae = theirs.convert_ldm_vae_checkpoint(dict(state), dict(model.configs["vae"]))
    for part, wanted in (("unet", unet), ("vae", vae)):
        found = model.load(part, torch.float32).state_dict()
        assert set(found) == set(wanted)
        for name, tensor in wanted.items():
            assert torch.equal(found[name].reshape(tensor.shape), tensor), name
    encoder = model.load("text_encoder", torch.float32)
    if second:
        text = theirs.convert_open_clip_checkpoint(
            CLIPTextModel(CLIPTextConfig(**text_config(True))), dict(state), prefix="cond_stage_model.model."
        )
    else:
        text = theirs.convert_ldm_clip_checkpoint(dict(state))
    text = {name.removeprefix("text_model."): tensor for name, tensor in text.items()}
    mine = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    compared = [name for name in mine if not name.endswith("position_ids") and name in text]
    assert len(compared) == len([name for name in mine if not name.endswith("position_ids")])
    assert all(torch.equal(mine[name], text[name]) for name in compared)


@pytest.mark.parametrize("second", [False, True])
def test_a_file_predicts(place, files, second):
    """The averaged U-Net unless `ema` is false; padded with 0 where it is of the second kind."""
    cameras, sigma = orbit(0.0, 0.0, 16), torch.tensor([1.5])
    noised = torch.randn(1, 16, 16, 4, generator=torch.Generator().manual_seed(1))
    answers = []
    for ema in (True, False):
        denoiser = opened(place, files, second, ema=ema)
        denoiser.load(CPU)
        condition = denoiser.condition(Subject(prompt=Prompt("a cat")))
        answers.append(denoiser.predict(noised, sigma, condition, cameras, ("cond",))["cond"])
        raw = original_state(second)[f"{UNET}out.2.weight"]
        assert torch.equal(denoiser._unet.conv_out.weight, raw) != ema
    assert torch.isfinite(answers[0]).all()
    assert (answers[0] - answers[1]).abs().max() > 1e-3
    assert denoiser.prediction == ("v_prediction" if second else "epsilon")


def test_the_second_kind_pads_with_zero(place, files):
    from zero3d_stable_diffusion.words import encoders

    given = []
    encode, kept = encoders._tokens, {}

    def tokens(tokenizer, texts):
        given.append(encode(tokenizer, texts).input_ids)
        return kept.setdefault("told", encode(tokenizer, texts))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "_tokens", tokens)
        for second in (False, True):
            kept.clear()
            denoiser = opened(place, files, second)
            denoiser.load(CPU)
            denoiser.condition(Subject(prompt=Prompt("a cat")))
    eos = text_config()["eos_token_id"]
    assert [int(ids[0, -1]) for ids in given] == [eos, 0]


def test_what_a_file_does_not_say_must_be_said(place, files):
    with pytest.raises(RecipeError, match=r"denoiser.prediction: auto, but .* does not say .*v_prediction \(2.1, 768"):
        opened(place, files, True, prediction="auto")
    named = place / "v2-1_768-ema-pruned.safetensors"
    shutil.copy(files[True], named)
    assert opened(place, {True: named}, True, prediction="auto").prediction == "v_prediction"
    with pytest.raises(RecipeError, match=r"denoiser.prediction: epsilon, but .* predicts v_prediction"):
        opened(place, {True: named}, True, prediction="epsilon")
    save_file(
        {k: v.contiguous() for k, v in original_state(second=True).items()},
        place / "told.safetensors",
        {"modelspec.prediction_type": "v"},
    )
    assert opened(place, {True: place / "told.safetensors"}, True, prediction="auto").prediction == "v_prediction"


def test_the_second_kind_has_768_pixels_where_it_predicts_v(place, files):
    changes = json.loads(Path(single_file_config(place, True)).read_text(encoding="utf-8"))
    del changes["unet"]["sample_size"]
    silent = place / "silent.json"
    silent.write_text(json.dumps(changes), encoding="utf-8")
    sides = {
        prediction: opened(place, files, True, prediction=prediction, config=str(silent)).resolution
        for prediction in ("v_prediction", "epsilon")
    }
    assert sides == {"v_prediction": 96, "epsilon": 64}
    assert opened(place, files, True).resolution == 16, "what the configuration says goes first"


def test_the_published_sizes_have_the_published_shapes():
    """Full size on the meta device, against parameter counts that are known: 859.5 M, 83.7 M, 123.1 M; 865.9 M, 340.4
    M."""
    counts = {}
    for width, configs in PUBLISHED.items():
        model = object.__new__(SingleFile)
        model.configs, model._kinds = configs, {"unet": "unet", "vae": "vae", "text_encoder": "clip_text"}
        for part in model._kinds:
            counts[width, part] = sum(p.numel() for p in model.sketch(part).parameters())
    assert counts[768, "unet"] == 859_520_964
    assert counts[1024, "unet"] == 865_910_724
    assert counts[768, "vae"] == 83_653_863
    assert counts[768, "text_encoder"] == 123_060_480
    assert counts[1024, "text_encoder"] == 340_387_840


# -- other families


def small(**shapes):
    return {name.replace("__", "."): torch.zeros(shape) for name, shape in shapes.items()}


FIRST, KEY = f"{UNET}input_blocks.0.0.weight", f"{UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
OTHERS = {
    "lora": ({"lora_unet_down_blocks_0.lora_down.weight": torch.zeros(4, 4)}, "is a LoRA"),
    "xl": ({FIRST: torch.zeros(32, 4, 3, 3), "conditioner.embedders.0.x": torch.zeros(2)}, "is Stable Diffusion XL"),
    "zero123": ({FIRST: torch.zeros(32, 8, 3, 3), "cc_projection.weight": torch.zeros(2)}, "is Zero-1-to-3, not"),
    "inpaint": ({FIRST: torch.zeros(32, 9, 3, 3), KEY: torch.zeros(32, 768)}, "is an inpainting model"),
    "pix2pix": ({FIRST: torch.zeros(32, 8, 3, 3)}, "InstructPix2Pix"),
    "mvdream": ({FIRST: torch.zeros(32, 4, 3, 3), f"{UNET}camera_embed.0.weight": torch.zeros(2)}, "is MVDream"),
    "control": ({"control_model.x": torch.zeros(2)}, "is a ControlNet"),
    "vae": ({"first_stage_model.x": torch.zeros(2)}, "is an autoencoder alone"),
    "unet": ({"time_embedding.linear_1.weight": torch.zeros(2)}, "is a U-Net alone"),
    "nothing": ({"a": torch.zeros(2)}, "no Stable Diffusion, nor anything else"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_family_is_named_for_what_it_is(tmp_path, kind):
    tensors, told = OTHERS[kind]
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(RecipeError, match=told) as caught:
        StableDiffusion(StableDiffusionConfig(weights=str(tmp_path / "w.safetensors")))
    assert str(caught.value).startswith("denoiser.weights: ")
    assert "\n" not in str(caught.value)


def test_image_variations_as_a_file_is_not_stable_diffusion(tmp_path):
    state = {k: v for k, v in zero123_state().items() if not k.startswith("cc_projection")}
    state[FIRST] = state[FIRST][:, :4].contiguous()
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(RecipeError, match="is Image Variations, not Stable Diffusion"):
        StableDiffusion(StableDiffusionConfig(weights=str(tmp_path / "w.safetensors")))
    changes = json.loads(Path(single_file_config(tmp_path)).read_text(encoding="utf-8"))
    clip = SPEC["config"]
    changes.pop("text_encoder")
    changes["image_encoder"] = {
        "hidden_size": clip["clip_width"],
        "intermediate_size": 4 * clip["clip_width"],
        "num_hidden_layers": clip["clip_layers"],
        "num_attention_heads": clip["clip_heads"],
        "projection_dim": clip["ctx"],
    }
    (tmp_path / "v.json").write_text(json.dumps(changes), encoding="utf-8")
    config = VariationsConfig(weights=str(tmp_path / "w.safetensors"), config=str(tmp_path / "v.json"), ema=False)
    made = ImageVariations(config)
    made.load(CPU)
    assert made.prediction == "epsilon"


def edited(folder, name, **changes):
    path = folder / name
    held = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(held | changes), encoding="utf-8")


def test_folders_of_another_family_are_named_for_what_they_are(tmp_path):
    models = {
        "sd": save_stable_diffusion(tmp_path / "sd"),
        "if": save_deepfloyd(tmp_path / "if"),
        "variations": save_variations(tmp_path / "variations"),
        "zero123": save_zero123(tmp_path / "zero123"),
    }
    xl = shutil.copytree(models["sd"], tmp_path / "xl")
    edited(xl, "unet/config.json", cross_attention_dim=2048)
    edited(xl, "model_index.json", _class_name="StableDiffusionXLPipeline")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "pytorch_lora_weights.safetensors").touch()
    takers = {
        "sd": lambda path: StableDiffusion(StableDiffusionConfig(weights=str(path))),
        "if": lambda path: DeepFloydIF(DeepFloydConfig(weights=str(path))),
        "variations": lambda path: ImageVariations(VariationsConfig(weights=str(path))),
    }
    for taker, given, told in (
        ("sd", models["if"], "DeepFloyd IF's first stage, not Stable Diffusion"),
        ("sd", models["variations"], "Image Variations, not Stable Diffusion"),
        ("sd", models["zero123"], "Zero-1-to-3"),
        ("sd", xl, "Stable Diffusion XL, not Stable Diffusion"),
        ("sd", tmp_path / "lora", "a LoRA"),
        ("if", models["sd"], "Stable Diffusion, not DeepFloyd IF"),
        ("variations", models["sd"], "Stable Diffusion, not Image Variations"),
    ):
        with pytest.raises(RecipeError, match=told) as caught:
            takers[taker](given)
        assert "\n" not in str(caught.value)


def test_folders_that_lack_something_are_one_line(tmp_path):
    whole = save_stable_diffusion(tmp_path / "whole")
    for number, (lost, told) in enumerate(
        [
            ("scheduler/scheduler_config.json", "scheduler_config.json is missing"),
            ("unet/config.json", "config.json missing"),
            ("vae/diffusion_pytorch_model.safetensors", "vae has no weights"),
            ("text_encoder/config.json", "config.json missing"),
        ]
    ):
        copy = shutil.copytree(whole, tmp_path / str(number))
        (copy / lost).unlink()
        with pytest.raises(RecipeError, match=told) as caught:
            StableDiffusion(StableDiffusionConfig(weights=str(copy)))
        assert "\n" not in str(caught.value)
    edited(whole, "text_encoder/config.json", hidden_size=64)
    with pytest.raises(RecipeError, match="text_encoder gives 64 numbers, unet takes tokens of 48"):
        StableDiffusion(StableDiffusionConfig(weights=str(whole)))


def test_weights_that_lack_a_tensor_are_refused(tmp_path):
    """diffusers would fill it in by chance, with a warning."""
    from safetensors.torch import load_file

    folder = save_stable_diffusion(tmp_path / "sd")
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    state = load_file(path)
    state.pop("conv_out.weight")
    save_file(state, path)
    with pytest.raises(RecipeError, match=r"conv_out\.weight is missing"):
        StableDiffusion(StableDiffusionConfig(weights=str(folder))).load(CPU)


def test_noise_schedules_that_have_no_sigma_are_refused():
    assert len(noise_levels({}, "x")) == 1000
    for scheduler, told in (
        ({"rescale_betas_zero_snr": True}, "zero SNR"),
        ({"trained_betas": [0.1]}, "or a list"),
        ({"beta_schedule": "sigmoid"}, "'sigmoid'"),
    ):
        with pytest.raises(RecipeError, match=told):
            noise_levels(scheduler, "x")


def test_the_command_knows_these_weights(place, files, capsys):
    assert main(["weights", "list", "stable_diffusion"]) == 0
    told = capsys.readouterr().out
    assert "stable-diffusion-v1-5" in told
    assert "OpenRAIL" in told
    assert "105000.ckpt" not in told
    assert main(["weights", "inspect", str(files[False]), "--config", single_file_config(place)]) == 0
    told = capsys.readouterr().out
    assert "Stable Diffusion" in told
    assert "fits" in told
    folder = save_stable_diffusion(place / "sd", second=True, prediction="v_prediction")
    assert main(["weights", "inspect", str(folder)]) == 0
    assert "v_prediction" in capsys.readouterr().out
    save_file({"a": torch.zeros(2)}, place / "a.safetensors")
    assert main(["weights", "inspect", str(place / "a.safetensors")]) == 2
    assert "`zero3d weights list`" in capsys.readouterr().err
    assert main(["weights", "list", "stable_difusion"]) == 2
    assert "stable_diffusion" in capsys.readouterr().err


def test_in_a_pipe_nothing_of_a_published_name_is_cut(capsys):
    assert main(["weights", "list"]) == 0
    told = capsys.readouterr().out
    assert "…" not in told
    for entry in (*StableDiffusion.published, *ImageVariations.published):
        assert entry.name in told
        assert entry.where.removeprefix("https://") in told
    assert not re.search(r"  0\.\d{3}", told)
