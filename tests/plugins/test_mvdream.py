"""MVDream's and ImageDream's weights in their layouts, what they are told, and what is refused before loading."""

import copy
import dataclasses
import json
import shutil

import pytest
import torch

from tests.plugins.mvdream_tiny import (
    FEATURES,
    TEXT,
    checkpoint_state,
    save_checkpoint,
    save_folder,
    save_tokenizer,
    tiny_config,
)
from zero3d.cli import main
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.testing import random_picture
from zero3d.values import Picture, PosedPicture, Prompt, Subject
from zero3d_mvdream.denoiser import ImageDream, MvDream
from zero3d_mvdream.weights.words import open_tokenizer, token_ids

KINDS = {"mvdream": MvDream, "imagedream": ImageDream}
SIDE = 8
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {family: save_folder(tmp_path_factory.mktemp(family) / "model", family) for family in KINDS}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    return {family: save_checkpoint(root / f"{family}.pt", family) for family in KINDS}


@pytest.fixture(scope="module")
def loaded(folders):
    made = {family: build(family, folders[family]) for family in KINDS}
    for denoiser in made.values():
        denoiser.load(CPU)
    return made


def build(family, weights, **options):
    kind = KINDS[family]
    return kind(kind.Config(weights=str(weights), **options))


def subject(text="a cat", negative="ugly", seed=0):
    picture = random_picture(8 * SIDE, seed)
    return Subject((PosedPicture("front", picture, orbit(0.0, 0.0, SIDE)),), Prompt(text, negative))


def question(views=4):
    generator = torch.Generator().manual_seed(0)
    noised = 3 * torch.randn(views, SIDE, SIDE, 4, generator=generator)
    return noised, torch.full((views,), 2.0), orbit(10.0, 90.0 * torch.arange(views), SIDE)


def answers(denoiser, condition, branches=("cond", "null", "negative"), views=4):
    noised, sigma, cameras = question(views)
    return denoiser.predict(noised, sigma, condition, cameras, branches)


@pytest.mark.parametrize("family", KINDS)
def test_both_layouts_are_one_network(family, files, loaded, tmp_path):
    words = save_tokenizer(tmp_path / "words")
    single = build(family, files[family], tokenizer=str(words), config=tiny_config(tmp_path, family))
    single.load(CPU)
    for part in single._source.parts:
        theirs = loaded[family]._source.build(part).state_dict()
        assert all(torch.equal(t, theirs[name]) for name, t in single._source.build(part).state_dict().items()), part
    ours, other = (answers(d, d.condition(subject())) for d in (single, loaded[family]))
    for branch in ours:
        assert torch.equal(ours[branch], other[branch]), branch


def test_a_safetensors_file_is_as_good_as_a_pt(files, tmp_path):
    from safetensors.torch import save_file

    state = checkpoint_state("mvdream")
    save_file(state, tmp_path / "mvdream.safetensors")
    options = {"tokenizer": str(save_tokenizer(tmp_path / "words")), "config": tiny_config(tmp_path, "mvdream")}
    sources = [build("mvdream", f, **options)._source for f in (files["mvdream"], tmp_path / "mvdream.safetensors")]
    first, second = (source.build("unet").state_dict() for source in sources)
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_fetched_repository_of_the_hub_is_read_without_the_network(folders, loaded, tmp_path, monkeypatch):
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    own = cache / "models--ashawkey--mvdream-sd2.1-diffusers"
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(folders["mvdream"], own / "snapshots" / commit)
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text(commit, encoding="utf-8")
    for weights in (MvDream.Config().weights, own):
        denoiser = build("mvdream", weights, offline=True)
        denoiser.load(CPU)
        assert all(commit in str(file) for file in denoiser.weight_files())
        found, expected = (d._network.state_dict() for d in (denoiser, loaded["mvdream"]))
        assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_size_and_files_are_known_before_loading(folders, loaded):
    for family, folder in folders.items():
        denoiser = build(family, folder)
        own = loaded[family]
        held = [p for module in (own._network, own._vae) for p in module.parameters()]
        assert denoiser.size(CPU) == (sum(p.numel() for p in held), 4 * sum(p.numel() for p in held))
        parts = {"unet", "vae", "text_encoder"} | ({"image_encoder"} if family == "imagedream" else set())
        assert {file.parent.name for file in denoiser.weight_files()} == parts
        assert all(file.is_file() for file in denoiser.weight_files())
        assert denoiser.picture_resolution == 8 * denoiser.resolution == 64


def test_half_precision_is_the_u_nets_alone(folders):
    denoiser = build("mvdream", folders["mvdream"], dtype="bfloat16")
    denoiser.load(CPU)
    assert denoiser.dtype == torch.bfloat16 == denoiser._network.dtype
    assert next(denoiser._vae.parameters()).dtype == torch.float32
    count, size = denoiser.size(CPU)
    assert size < 4 * count
    exact = build("mvdream", folders["mvdream"])
    exact.load(CPU)
    found, expected = (answers(d, d.condition(subject()), ("cond",))["cond"] for d in (denoiser, exact))
    assert found.dtype == torch.float32
    assert 0 < float((found - expected).abs().max()) < 0.1 * float(expected.abs().max())


def test_each_branch_reads_its_own_words(loaded):
    def branches(prompt, **options):
        denoiser = copy.copy(loaded["mvdream"])
        denoiser.config = dataclasses.replace(denoiser.config, **options)
        return denoiser.condition(Subject(prompt=prompt)).context

    plain = branches(Prompt("a cat", "ugly"))
    assert not any(torch.equal(plain[a], plain[b]) for a, b in (("cond", "null"), ("cond", "negative")))
    assert torch.equal(branches(Prompt("a dog", "ugly"))["null"], plain["null"])
    assert torch.equal(branches(Prompt("ugly"))["cond"], plain["negative"])
    assert torch.equal(branches(Prompt("a cat"))["negative"], plain["null"])
    longer = branches(Prompt("a cat", "ugly"), prompt_suffix=", 3d asset", negative_suffix=", blurry")
    expected = branches(Prompt("a cat, 3d asset", "ugly, blurry"))
    assert all(torch.equal(longer[branch], expected[branch]) for branch in expected)
    alone = branches(Prompt("a cat"), negative_suffix=", ugly")
    assert torch.equal(alone["negative"], plain["negative"])
    assert torch.equal(alone["null"], plain["null"])
    theirs = branches(Prompt("a cat", "ugly"), negative_as_null=True)
    assert torch.equal(theirs["null"], plain["negative"])


def test_token_ids_are_padded_with_zero_and_cut_with_a_warning(folders):
    tokenizer = open_tokenizer(folders["mvdream"] / "tokenizer")
    start, end = TEXT["bos_token_id"], TEXT["eos_token_id"]
    ids = token_ids(tokenizer, "ab c")
    assert len(ids) == 77
    assert (ids[0], ids[4], ids[5:]) == (start, end, [0] * 72)
    vocabulary = json.loads((folders["mvdream"] / "tokenizer" / "vocab.json").read_text(encoding="utf-8"))
    assert ids[1:4] == [vocabulary[w] for w in ("a", "b</w>", "c</w>")]
    assert token_ids(tokenizer, "") == [start, end, *[0] * 75]
    with pytest.warns(UserWarning, match="only the first 75"):
        long = token_ids(tokenizer, "x " * 90)
    assert (len(long), long[0], long[-1]) == (77, start, end)


def test_what_encodes_the_subject_is_freed(loaded):
    import gc

    from transformers import CLIPTextModel, CLIPVisionModel

    for denoiser in loaded.values():
        denoiser.condition(subject())
    gc.collect()
    kept = [o for o in gc.get_objects() if type(o) in (CLIPTextModel, CLIPVisionModel)]
    assert not [o for o in kept if next(o.parameters()).device.type != "meta"]


def test_imagedream_sees_the_picture_on_its_grey(loaded):
    own = loaded["imagedream"]
    shown = subject()
    first, second = own.condition(shown), own.condition(subject(seed=1))
    assert not torch.equal(first.latent["cond"], second.latent["cond"])
    assert not torch.equal(first.context["cond"], second.context["cond"])
    for branch in ("null", "negative"):
        assert torch.equal(first.context[branch], second.context[branch])
    assert first.context["cond"].shape == (1, 77 + 16, 48)
    grey = copy.copy(own)
    grey.config = dataclasses.replace(own.config, picture_background=0.5)
    posed = shown.pictures[0]
    rgb, mask = posed.picture.rgb, posed.picture.mask
    over = Picture(rgb - 0.5 * (1 - mask), torch.ones_like(mask))
    expected = own.condition(Subject((PosedPicture("front", over, posed.camera),), shown.prompt))
    found = grey.condition(shown)
    assert torch.allclose(found.latent["cond"], expected.latent["cond"], atol=1e-5)
    assert not torch.allclose(found.latent["cond"], first.latent["cond"], atol=1e-2)


def test_clip_pixels_are_openclips(loaded):
    import numpy
    from PIL import Image

    from zero3d.weights import CLIP_MEAN, CLIP_STD
    from zero3d_mvdream.conditioning import clip_pixels

    y, x, c = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), torch.arange(3.0), indexing="ij")
    picture = 0.5 + 0.4 * torch.sin(0.2 * (c + 1) * x + 0.3 * y + c)  # PIL clamps between its passes: no overshoot here
    bytes_ = (255 * picture).round().byte()
    small = numpy.asarray(Image.fromarray(bytes_.numpy()).resize((56, 56), Image.Resampling.BICUBIC))
    expected = (torch.from_numpy(small / 255) - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    found = clip_pixels(bytes_.permute(2, 0, 1)[None] / 255, 56)[0].permute(1, 2, 0)
    assert float((found - expected).abs().max()) < 1.5 / 255 / min(CLIP_STD)
    assert loaded["imagedream"]._source.configs["image_encoder"]["hidden_size"] == FEATURES


@pytest.mark.parametrize("views", [1, 3, 6])
def test_views_that_are_no_group_are_refused(loaded, views):
    with pytest.raises(ValueError, match=f"mvdream: {views} views; they are denoised in groups of 4"):
        answers(loaded["mvdream"], None, ("cond",), views)


def test_a_group_has_one_noise_level(loaded):
    noised, sigma, cameras = question()
    sigma[2] = 1.0
    with pytest.raises(ValueError, match="several noise levels in a group of 4 views; give each group one"):
        loaded["mvdream"].predict(noised, sigma, None, cameras, ("cond",))


def test_weights_are_listed_and_inspected(files, folders, tmp_path, capsys):
    for family in KINDS:
        assert main(["weights", "list", family]) == 0
        said = capsys.readouterr().out
        assert "ashawkey/" in said
        assert f"{family}.tokenizer" in said
        config = tiny_config(tmp_path, family)
        for path in (files[family], folders[family]):
            assert main(["weights", "inspect", str(path), "--type", family, "--config", config]) == 0
            said = capsys.readouterr().out
            assert KINDS[family].family in said.splitlines()[0]
            assert said.count("fits") == {"mvdream": 3, "imagedream": 4}[family]
        other = KINDS[{"mvdream": "imagedream", "imagedream": "mvdream"}[family]]
        assert other.inspect_weights(files[family]) is None
        assert other.inspect_weights(folders[family]) is None
    assert main(["weights", "inspect", str(files["mvdream"]), "--type", "mvdream"]) == 0
    assert "does not fit: " in capsys.readouterr().out  # of the published size


def refusal(family, weights, **options):
    with pytest.raises(RecipeError) as caught:
        build(family, weights, **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_a_checkpoint_of_another_family_is_named(files, folders, tmp_path):
    words = {"tokenizer": str(folders["mvdream"] / "tokenizer")}
    for one, other in (("MVDream", "ImageDream"), ("ImageDream", "MVDream")):
        told = f"its U-Net is of {other}, not {one}'s"
        assert told in refusal(one.lower(), files[other.lower()], **words)
        assert told in refusal(one.lower(), folders[other.lower()])
    state = checkpoint_state("mvdream")
    plain = {name: tensor for name, tensor in state.items() if "camera_embed" not in name}
    line = refusal("mvdream", save_checkpoint(tmp_path / "sd.pt", "", plain), **words)
    assert "its U-Net is of Stable Diffusion, not MVDream's" in line
    first = "model.diffusion_model.input_blocks.0.0.weight"
    edited = plain | {first: torch.zeros(32, 8, 3, 3)}
    line = refusal("mvdream", save_checkpoint(tmp_path / "zero123.pt", "", edited), **words)
    assert "its U-Net is of Zero-1-to-3" in line
    stock = shutil.copytree(folders["mvdream"], tmp_path / "stock")
    (stock / "unet" / "config.json").write_text(json.dumps({"in_channels": 4}), encoding="utf-8")
    assert "its U-Net is of Stable Diffusion" in refusal("mvdream", stock)


def test_missing_or_damaged_weights_are_one_line(files, folders, tmp_path):
    words = {"tokenizer": str(folders["mvdream"] / "tokenizer")}
    small = words | {"config": tiny_config(tmp_path, "mvdream")}
    line = refusal("mvdream", tmp_path / "sd-v2.1-base-4view.pt", **words)
    assert "no file" in line
    assert "https://huggingface.co/MVDream/MVDream" in line
    assert "is neither a checkpoint" in refusal("mvdream", "nowhere at all")
    assert "Git LFS pointer" in refusal("mvdream", shutil.copy("tests/data/lfs.ckpt", tmp_path / "lfs.pt"), **words)
    state = checkpoint_state("mvdream")
    half = {name: tensor for name, tensor in state.items() if not name.startswith("cond_stage")}
    line = refusal("mvdream", save_checkpoint(tmp_path / "half.pt", "", half), **small)
    assert "no text_encoder (no tensor named cond_stage_model.model.* or clip_model.model.*)" in line
    less = {name: tensor for name, tensor in state.items() if not name.endswith("camera_embed.2.bias")}
    line = refusal("mvdream", save_checkpoint(tmp_path / "less.pt", "", less), **small)
    assert "unet.class_embedding.linear_2.bias is missing" in line
    more = state | {"model.diffusion_model.input_blocks.1.1.extra.weight": torch.zeros(1)}
    assert "no such tensor" in refusal("mvdream", save_checkpoint(tmp_path / "more.pt", "", more), **small)
    assert "the configuration wants" in refusal("mvdream", files["mvdream"], **words)  # of the published size
    broken = shutil.copytree(folders["mvdream"], tmp_path / "broken")
    shutil.rmtree(broken / "vae")
    assert "vae: config.json missing" in refusal("mvdream", broken)
    assert "denoiser.variant: 'fp16'" in refusal("mvdream", folders["mvdream"], variant="fp16")


def test_a_missing_tokenizer_is_one_line_before_loading(files, folders, tmp_path):
    small = {"config": tiny_config(tmp_path, "mvdream")}
    line = refusal("mvdream", files["mvdream"], **small)
    assert line.startswith(
        "denoiser.tokenizer: missing, and the weights have none of their own; give a folder with vocab.json"
    )
    words = save_tokenizer(tmp_path / "words")
    (words / "merges.txt").unlink()
    assert "merges.txt missing; give a folder" in refusal("mvdream", files["mvdream"], tokenizer=str(words), **small)
    assert "neither a folder nor a hub id" in refusal("mvdream", files["mvdream"], tokenizer="no/such/place", **small)
    bare = shutil.copytree(folders["mvdream"], tmp_path / "bare")
    (bare / "tokenizer" / "vocab.json").unlink()
    assert "vocab.json missing" in refusal("mvdream", bare)
    (bare / "tokenizer" / "vocab.json").write_text("{", encoding="utf-8")
    assert "vocab.json: no valid JSON" in refusal("mvdream", bare)


@pytest.mark.parametrize(
    ("family", "options", "line"),
    [
        ("mvdream", {"dtype": "float8"}, "dtype: 'float8'; one of auto"),
        ("mvdream", {"weights": ""}, "weights: empty"),
        ("imagedream", {"picture_background": 1.5}, "picture_background: 1.5; 0 (black) to 1 (white)"),
    ],
)
def test_options_are_checked(family, options, line):
    with pytest.raises(ValueError) as caught:
        KINDS[family].Config(**options)
    assert str(caught.value).startswith(line)
