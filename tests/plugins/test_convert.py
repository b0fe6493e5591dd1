"""`zero3d weights convert`: a folder predicts what its file predicts, bit for bit, and stock libraries load it."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.plugins import clip_tiny, mvdream_tiny, point_e_tiny, sd_tiny
from tests.plugins.novel_views_tiny import save_sv3d, sv3d_config
from tests.plugins.zero123_tiny import SPEC
from tests.plugins.zero123_tiny import original_state as zero123_state
from zero3d.cli import main
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.testing import random_picture
from zero3d.values import PosedPicture, Prompt, Subject
from zero3d_mvdream.denoiser import ImageDream, MvDream
from zero3d_novel_views.sv3d.denoiser import Sv3d
from zero3d_novel_views.sv3d.options import Sv3dConfig
from zero3d_stable_diffusion.image_variations import ImageVariations, VariationsConfig
from zero3d_stable_diffusion.stable_diffusion import StableDiffusion, StableDiffusionConfig

CPU = torch.device("cpu")
SUBJECT = Subject((PosedPicture("front", random_picture(64, 0), orbit(0.0, 0.0, 8)),), Prompt("a cat", "ugly"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def words(place):
    return str(sd_tiny.save_clip_tokenizer(place / "tokenizer"))


@pytest.fixture(scope="module")
def sd_files(place):
    """Stable Diffusion 1 as a pickled .ckpt, 2 as safetensors."""
    torch.save({"state_dict": sd_tiny.original_state()}, place / "one.ckpt")
    two = {k: v.contiguous() for k, v in sd_tiny.original_state(second=True).items()}
    save_file(two, place / "two.safetensors")
    return {False: place / "one.ckpt", True: place / "two.safetensors"}


def convert(path, out, *options):
    return main(["weights", "convert", str(path), str(out), *options])


def answers(denoiser, views=1, branches=("cond", "null")):
    """What it makes of noise, and of a picture; after `load`."""
    denoiser.load(CPU)
    side = denoiser.resolution
    noised = torch.randn(views, side, side, 4, generator=torch.Generator().manual_seed(1))
    cameras = orbit(10.0, 90.0 * torch.arange(views), side)
    made = denoiser.predict(noised, torch.full((views,), 1.5), denoiser.condition(SUBJECT), cameras, branches)
    picture = random_picture(denoiser.picture_resolution, 3).rgb[None]
    latent = denoiser.encode(picture)
    return [*made.values(), latent, denoiser.decode(latent)]


def same(first, second):
    assert all(torch.isfinite(t).all() for t in first)
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def stable(weights, **options):
    return StableDiffusion(StableDiffusionConfig(weights=str(weights), offline=True, **options))


@pytest.mark.parametrize("second", [False, True])
def test_stable_diffusions_folder_is_its_file(place, sd_files, words, tmp_path, second, capsys):
    config = sd_tiny.single_file_config(place, second)
    prediction = "v_prediction" if second else "epsilon"
    told = ["--prediction", prediction] if second else []
    assert convert(sd_files[second], tmp_path / "out", "--config", config, "--tokenizer", words, *told) == 0
    assert f"denoiser.weights={tmp_path / 'out'}" in capsys.readouterr().out
    folder = stable(tmp_path / "out")
    expected = answers(stable(sd_files[second], config=config, tokenizer=words, prediction=prediction))
    assert same(answers(folder), expected)
    assert folder.prediction == prediction
    with pytest.raises(
        RecipeError, match=r"denoiser\.ema: false, but .* has EMA weights alone; convert again with --raw"
    ):
        stable(tmp_path / "out", ema=False)

    from diffusers import StableDiffusionPipeline

    stock = StableDiffusionPipeline.from_pretrained(tmp_path / "out", local_files_only=True)
    assert stock.scheduler.config.prediction_type == prediction
    mine = folder._model.load("unet", torch.float32).state_dict()
    assert all(torch.equal(tensor, mine[name]) for name, tensor in stock.unet.state_dict().items())
    ids = stock.tokenizer("a cat", padding="max_length", max_length=77).input_ids
    assert ids[-1] == (0 if second else sd_tiny.text_config()["eos_token_id"])


def test_without_a_tokenizer_the_second_kind_still_pads_with_zero(place, sd_files, words, tmp_path):
    config = sd_tiny.single_file_config(place, True)
    options = ("--config", config, "--prediction", "epsilon", "--raw")
    assert convert(sd_files[True], tmp_path / "out", *options) == 0
    assert not (tmp_path / "out" / "tokenizer").exists()
    known = {"config": config, "prediction": "epsilon", "ema": False}
    expected = answers(stable(sd_files[True], tokenizer=words, **known))
    assert same(answers(stable(tmp_path / "out", tokenizer=words, ema=False)), expected), "the raw U-Net"


def test_half_precision_is_the_files_rounded(place, sd_files, tmp_path):
    config = sd_tiny.single_file_config(place)
    assert convert(sd_files[False], tmp_path / "out", "--config", config, "--dtype", "float16") == 0
    held = load_file(tmp_path / "out" / "unet" / "diffusion_pytorch_model.safetensors")
    raw = sd_tiny.original_state()["model_ema.diffusion_modelout2weight"]
    assert torch.equal(held["conv_out.weight"], raw.half())
    assert {tensor.dtype for tensor in held.values()} == {torch.float16}


def test_image_variations_folder_is_its_file(place, tmp_path):
    state = {k: v for k, v in zero123_state().items() if not k.startswith("cc_projection")}
    for first in ("model.diffusion_model.input_blocks.0.0.weight", "model_ema.diffusion_modelinput_blocks00weight"):
        state[first] = state[first][:, :4].contiguous()
    save_file(state, tmp_path / "w.safetensors")
    changes = json.loads(Path(sd_tiny.single_file_config(place)).read_text(encoding="utf-8"))
    changes.pop("text_encoder")
    clip = SPEC["config"]
    changes["image_encoder"] = {
        "hidden_size": clip["clip_width"],
        "intermediate_size": 4 * clip["clip_width"],
        "num_hidden_layers": clip["clip_layers"],
        "num_attention_heads": clip["clip_heads"],
        "projection_dim": clip["ctx"],
    }
    (tmp_path / "v.json").write_text(json.dumps(changes), encoding="utf-8")
    config = str(tmp_path / "v.json")
    assert convert(tmp_path / "w.safetensors", tmp_path / "out", "--config", config) == 0
    file, folder = (
        ImageVariations(VariationsConfig(weights=str(tmp_path / name), config=config, offline=True))
        for name in ("w.safetensors", "out")
    )
    assert same(answers(folder), answers(file))


@pytest.mark.parametrize("kind", [MvDream, ImageDream])
def test_mvdreams_folder_is_its_file(kind, tmp_path):
    family, words = kind.name, str(mvdream_tiny.save_tokenizer(tmp_path / "words"))
    path = mvdream_tiny.save_checkpoint(tmp_path / "w.pt", family)
    config = mvdream_tiny.tiny_config(tmp_path, family)
    assert convert(path, tmp_path / "out", "--config", config, "--tokenizer", words) == 0
    file = kind(kind.Config(weights=str(path), config=config, tokenizer=words))
    folder = kind(kind.Config(weights=str(tmp_path / "out")))
    assert same(answers(folder, 4), answers(file, 4))
    published = mvdream_tiny.save_folder(tmp_path / "theirs", family)
    for part in folder._source.parts:
        ours, theirs = (
            next(p for p in (root / part).iterdir() if p.suffix == ".safetensors")
            for root in (tmp_path / "out", published)
        )
        assert ours.name == theirs.name
        found, wanted = load_file(ours), load_file(theirs)
        bare = {name.removeprefix("text_model.").removeprefix("vision_model."): t for name, t in wanted.items()}
        found = {name.removeprefix("text_model.").removeprefix("vision_model."): t for name, t in found.items()}
        assert found.keys() == bare.keys(), part
        assert all(torch.equal(tensor, bare[name]) for name, tensor in found.items()), part
    unet = json.loads((tmp_path / "out" / "unet" / "config.json").read_text(encoding="utf-8"))
    assert bool(unet.get("ip_dim")) == (kind is ImageDream)
    index = json.loads((tmp_path / "out" / "model_index.json").read_text(encoding="utf-8"))
    assert index["_class_name"] == "MVDreamPipeline"
    assert (index["image_encoder"][0] is None) == (kind is MvDream)


def test_sv3ds_folder_is_its_file_and_stock_diffusers_loads_it(tmp_path, capsys):
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

    path, config = save_sv3d(tmp_path / "sv3d_p.safetensors"), sv3d_config(tmp_path)
    assert convert(path, tmp_path / "out", "--config", config) == 0
    assert f"denoiser.weights={tmp_path / 'out'}" in capsys.readouterr().out
    file = Sv3d(Sv3dConfig(weights=str(path), config=config, size=64))
    folder = Sv3d(Sv3dConfig(weights=str(tmp_path / "out"), size=64))
    for part in ("unet", "vae", "image_encoder"):
        expected, found = file._source.build(part).state_dict(), folder._source.build(part).state_dict()
        assert expected.keys() == found.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in expected.items()), part
    UNetSpatioTemporalConditionModel.from_pretrained(tmp_path / "out", subfolder="unet")
    AutoencoderKLTemporalDecoder.from_pretrained(tmp_path / "out", subfolder="vae")
    assert main(["weights", "inspect", str(tmp_path / "out")]) == 0
    assert "SV3D_p in diffusers layout" in capsys.readouterr().out
    with pytest.raises(RecipeError, match=r"denoiser\.config: .* is a folder, which holds its configurations"):
        Sv3d(Sv3dConfig(weights=str(tmp_path / "out"), config=config))
    (tmp_path / "out" / "vae" / "config.json").unlink()
    with pytest.raises(RecipeError, match=r"vae: config\.json missing"):
        Sv3d(Sv3dConfig(weights=str(tmp_path / "out")))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_point_es_folder_is_its_files(tmp_path, capsys, dtype):
    """Named one, its sisters go along: a model takes three."""
    options = point_e_tiny.save_weights(tmp_path / "pt")
    assert convert(tmp_path / "pt" / "base_40m.pt", tmp_path / "out", "--dtype", dtype) == 0
    assert f"start.weights={tmp_path / 'out'}" in capsys.readouterr().out
    expected = point_e_tiny.state("upsample")
    held = load_file(tmp_path / "out" / "upsample_40m.safetensors")
    assert held.keys() == expected.keys()
    for name, tensor in held.items():
        whole = dtype == "float32" or name in ("channel_scales", "channel_biases")
        assert torch.equal(tensor, expected[name] if whole else expected[name].half()), name
    made = point_e_tiny.make({**options, "weights": str(tmp_path / "out")})
    assert {path.suffix for path in made.weight_files()[:3]} == {".safetensors"}


def test_clips_folder_is_its_file(tmp_path, capsys):
    state = {name: tensor.contiguous() for name, tensor in clip_tiny.openclip_state().items()}
    save_file(state, tmp_path / "w.safetensors")
    clip_tiny.config("gelu").to_json_file(tmp_path / "tiny.json")
    words = str(clip_tiny.save_tokenizer(tmp_path / "words"))
    options = ("--config", str(tmp_path / "tiny.json"), "--tokenizer", words)
    assert main(["weights", "inspect", str(tmp_path / "w.safetensors"), *options[:2]]) == 0
    said = capsys.readouterr().out
    assert "CLIP in one file" in said.splitlines()[0]
    assert "all           fits" in said
    assert convert(tmp_path / "w.safetensors", tmp_path / "out", *options) == 0
    assert f"encoder.weights={tmp_path / 'out'}" in capsys.readouterr().out
    assert main(["weights", "inspect", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "tokenizer     its own" in said
    assert "all           fits" in said
    file = clip_tiny.make_encoder(tmp_path / "w.safetensors", config=options[1], tokenizer=words)
    folder = clip_tiny.make_encoder(tmp_path / "out")
    assert folder.reads == {"picture", "prompt"}
    seen, read = clip_tiny.picture(0, 168, 168), ["a cat", "mug"]
    assert torch.equal(folder.encode_pictures(seen), file.encode_pictures(seen))
    assert torch.equal(folder.encode_texts(read), file.encode_texts(read))

    from transformers import CLIPModel

    _, report = CLIPModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_nothing_is_written_unless_all_of_it_can_be(place, sd_files, words, tmp_path, capsys):
    config, out = sd_tiny.single_file_config(place, True), tmp_path / "out"
    for options, told in (
        ([], "does not say what it predicts; add --prediction epsilon"),
        (["--prediction", "epsilon", "--tokenizer", str(tmp_path)], "denoiser.tokenizer: "),
    ):
        assert convert(sd_files[True], out, "--config", config, *options) == 2
        assert told in capsys.readouterr().err
    assert convert(sd_files[False], out) == 2, "of the published size"
    assert "denoiser.config" in capsys.readouterr().err
    tensors = {k: v for k, v in sd_tiny.original_state().items() if not k.endswith("decoder.conv_out.weight")}
    save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / "cut.safetensors")
    assert convert(tmp_path / "cut.safetensors", out, "--config", sd_tiny.single_file_config(place)) == 2
    assert "decoder.conv_out.weight is missing" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept", encoding="utf-8")
    assert convert(sd_files[False], tmp_path / "full", "--config", sd_tiny.single_file_config(place)) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.safetensors", "full"]


FIRST = "model.diffusion_model.input_blocks.0.0.weight"


@pytest.mark.parametrize(
    ("tensors", "told"),
    [
        ({"lora_unet_down_blocks_0.lora_down.weight": (4, 4)}, "is a LoRA, no weights that convert knows of"),
        ({FIRST: (32, 9, 3, 3)}, "is an inpainting model, no weights"),
        ({"conditioner.embedders.0.x": (2,)}, "is Stable Diffusion XL, no weights"),
        ({"vision_model.x": (2,)}, "is CLIP, no weights"),
        ({"a": (2,)}, "w.safetensors: no weights that convert knows of clip, image_variations, "),
    ],
)
def test_what_nobody_converts_is_named(tmp_path, tensors, told, capsys):
    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "w.safetensors")
    assert convert(tmp_path / "w.safetensors", tmp_path / "out") == 2
    line = capsys.readouterr().err
    assert told in line
    assert len(line.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_another_types_file_is_named(tmp_path, capsys):
    tensors = {FIRST: torch.zeros(32, 4, 3, 3), "model.diffusion_model.camera_embed.0.weight": torch.zeros(2)}
    save_file(tensors, tmp_path / "w.safetensors")
    assert convert(tmp_path / "w.safetensors", tmp_path / "out", "--type", "stable_diffusion") == 2
    assert "is MVDream, no weights that convert knows of stable_diffusion" in capsys.readouterr().err
    assert convert(tmp_path / "lost.ckpt", tmp_path / "out") == 2
    assert "lost.ckpt: no such file" in capsys.readouterr().err
    assert convert(tmp_path / "w.safetensors", tmp_path / "out", "--type", "lpips") == 2
    line = capsys.readouterr().err
    assert line.startswith("zero3d: 'lpips': its weights are none that convert reads. ")
    assert "Known: clip, image_variations, " in line


@pytest.mark.parametrize(
    ("save", "told", "parts"),
    [
        (sd_tiny.save_deepfloyd, "DeepFloyd IF's first stage in diffusers' layout", ("unet", "text_encoder")),
        (sd_tiny.save_variations, "Image Variations in diffusers' layout", ("unet", "vae", "image_encoder")),
    ],
)
def test_inspect_tells_folders_of_the_other_two(tmp_path, save, told, parts, capsys):
    folder = save(tmp_path / "w")
    assert main(["weights", "inspect", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert told in lines[0]
    assert lines[1].split() == ["prediction", "epsilon"]
    assert [line.split()[0] for line in lines[2:]] == list(parts)
    assert convert(folder, tmp_path / "out") == 2
    assert "is a folder already" in capsys.readouterr().err
