"""The published weights from every kind of file: read without running anything, told apart, converted."""

import builtins
import collections
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.plugins.zero123_tiny import (
    CONFIG,
    GOLDEN,
    make_modules,
    original_state,
    save_checkpoint,
    save_folder,
    tiny_config,
)
from zero3d.cli import main
from zero3d.diffusion import guided
from zero3d.errors import RecipeError
from zero3d.geometry import orbit
from zero3d.weights import Choice, PickledTensors, choose, open_tensors, variants
from zero3d_zero123.component import Zero123, Zero123Config
from zero3d_zero123.nano.denoiser import NanoDenoiser
from zero3d_zero123.nano.weights import EMBEDDED
from zero3d_zero123.pose import relative_pose, stable_pose
from zero3d_zero123.published.conditioning import PictureCondition
from zero3d_zero123.published.configs import PUBLISHED
from zero3d_zero123.published.layout import Layout
from zero3d_zero123.published.original import Original, make_module


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def config(place):
    return tiny_config(place)


@pytest.fixture(scope="module")
def checkpoint(place):
    return save_checkpoint(place / "tiny.ckpt")


@pytest.fixture(scope="module")
def safetensors(place):
    save_file(original_state(), place / "tiny.safetensors")
    return place / "tiny.safetensors"


def eps_error(denoiser, kind):
    """Against the original's U-Net, guided, at three timesteps, in the picture's condition."""
    condition = PictureCondition(GOLDEN["clip_embedding"][:, None], GOLDEN["vae_mode"], orbit(0.0, 0.0, 1))
    pose = GOLDEN["pose_T"][:1].float().expand(3, -1)
    with torch.no_grad():
        latent = GOLDEN["z_t"].expand(3, -1, -1, -1)
        eps = guided(*denoiser.predict_eps(latent, GOLDEN["t"], condition, pose, ("null", "cond")), 3.0)
    golden = GOLDEN[f"eps_{kind}_cfg3"]
    return float((eps - golden).abs().max() / golden.abs().max())


def loaded(**options):
    denoiser = Zero123.build(Zero123Config(**options))
    denoiser.load(torch.device("cpu"))
    return denoiser


@pytest.mark.parametrize("kind", ["ema", "raw"])
@pytest.mark.parametrize("form", ["checkpoint", "safetensors"])
def test_an_original_file_gives_the_originals_numbers(form, kind, config, request):
    file = request.getfixturevalue(form)
    assert eps_error(loaded(weights=str(file), config=config, ema=kind == "ema"), kind) < 1e-4


@pytest.mark.parametrize(("dtype", "tolerance"), [("float16", 0.02), ("bfloat16", 0.1)])
def test_the_network_runs_in_half_precision(checkpoint, config, dtype, tolerance):
    """Rounding alone: float16 keeps 11 bits of a number, bfloat16 8."""
    assert 1e-6 < eps_error(loaded(weights=str(checkpoint), config=config, dtype=dtype), "ema") < tolerance


def test_the_training_framework_is_never_imported_and_nothing_but_its_inert_shape_remains(checkpoint):
    tensors = PickledTensors(checkpoint)
    assert not any(name.split(".")[0] == "pytorch_lightning" for name in sys.modules)
    assert tensors.step == 105000
    assert set(tensors) == set(original_state()), "no optimizer state among them"


def test_every_tensor_is_read_as_torch_reads_it(checkpoint):
    state = original_state()
    tensors = PickledTensors(checkpoint)
    assert all(torch.equal(tensors[name], value) for name, value in state.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool])
def test_dtypes_views_and_odd_shapes(tmp_path, dtype):
    grid = torch.arange(24).reshape(4, 6).to(dtype)
    state = {
        "whole": grid,
        "turned": grid.T,
        "row": grid[2],
        "one": grid[1, 2],
        "none": grid[:0],
        "part": grid[1:3, ::2],
    }
    torch.save({"state_dict": state}, tmp_path / "x.ckpt")
    tensors = PickledTensors(tmp_path / "x.ckpt")
    for name, value in state.items():
        assert tensors[name].dtype == dtype
        assert torch.equal(tensors[name], value), name


def test_a_mapped_tensor_may_be_changed_without_changing_the_file(tmp_path):
    torch.save({"state_dict": {"w": torch.ones(8)}}, tmp_path / "x.ckpt")
    PickledTensors(tmp_path / "x.ckpt")["w"].zero_()
    assert torch.equal(PickledTensors(tmp_path / "x.ckpt")["w"], torch.ones(8))


class Runs:
    """Pickles as a call of any function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, r"(posix|nt)\.system"),
        (builtins.eval, r"__builtin__\.eval"),
        (pickle.loads, r"_?pickle\.loads"),
        (collections.Counter, r"collections\.Counter"),
        (torch.load, r"torch\.serialization\.load"),
    ],
)
def test_any_other_name_is_refused_by_name_and_not_called(tmp_path, function, name):
    mark = tmp_path / "mark"
    torch.save({"state_dict": {"w": torch.ones(1)}, "x": Runs(function, f"touch {mark}")}, tmp_path / "x.ckpt")
    with pytest.raises(RecipeError, match=name):
        PickledTensors(tmp_path / "x.ckpt")
    assert not mark.exists()


def test_a_tensor_that_reaches_beyond_its_data_is_refused(tmp_path):
    class Beyond:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (torch.ones(4).storage(), 0, (400,), (1,), False, None)

    file = tmp_path / "x.ckpt"
    with pytest.warns(UserWarning, match="TypedStorage"):
        torch.save({"state_dict": {"w": Beyond()}}, file)
    with pytest.raises(RecipeError, match="w reaches beyond its data"):
        PickledTensors(file)["w"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda f: f.write_bytes(b"not a checkpoint"), "cannot be read as a checkpoint"),
        (lambda f: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2]), "cannot be read as a checkpoint"),
        (lambda f: torch.save({"state_dict": {}}, f), "holds no tensors"),
        (lambda f: torch.save({"state_dict": {"x": torch.ones(1)}}, f), "no unet"),
        (lambda f: torch.save(original_state(), f, _use_new_zipfile_serialization=False), "from before 1.6"),
        (lambda f: save_checkpoint(f, without("cc_projection.")), "no cc_projection"),
        (lambda f: save_checkpoint(f, without("first_stage_model.")), "no vae"),
        (lambda f: save_checkpoint(f, without("model_ema.")), "no EMA weights; set denoiser.ema=false"),
        (lambda f: save_checkpoint(f, with_four_inputs()), "takes 4 channels.*text-to-image"),
        (lambda f: f.unlink(), "no file"),
    ],
)
def test_a_wrong_checkpoint_is_refused_before_a_weight_is_read(tmp_path, checkpoint, config, make, told):
    file = shutil.copy(checkpoint, tmp_path / "w.ckpt")
    make(file)
    with pytest.raises(RecipeError, match=told):
        Zero123.build(Zero123Config(weights=str(file), config=config))


def without(prefix):
    return {name: value for name, value in original_state().items() if not name.startswith(prefix)}


def with_four_inputs():
    name = "model.diffusion_model.input_blocks.0.0.weight"
    state = original_state()
    return state | {name: state[name][:, :4].contiguous()}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"first_stage_model.quant_conv.bias": torch.zeros(9)}, r"vae's quant_conv\.bias is \(9,\).*\(8,\)"),
        ({"cc_projection.weight": torch.zeros(48, 48)}, r"cc_projection's weight is \(48, 48\).*\(48, 52\)"),
        ({"first_stage_model.decoder.extra.weight": torch.zeros(1)}, "extra.*no such tensor"),
    ],
)
def test_a_tensor_of_another_shape_is_named(tmp_path, config, change, told):
    save_file(original_state() | change, tmp_path / "w.safetensors")
    with pytest.raises(RecipeError, match=told):
        loaded(weights=str(tmp_path / "w.safetensors"), config=config)


def test_without_a_configuration_the_published_size_is_assumed(checkpoint):
    with pytest.raises(RecipeError, match=r"unet's \S+ is .*denoiser\.config"):
        loaded(weights=str(checkpoint))


def test_a_hash_is_checked_where_one_is_given_or_known(tmp_path, checkpoint, config):
    with pytest.raises(RecipeError, match=r"sha256 is .*download it again"):
        loaded(weights=str(checkpoint), config=config, sha256="0" * 64)
    named = shutil.copy(checkpoint, tmp_path / "105000.ckpt")
    with pytest.raises(RecipeError, match="f0fee4e7c1d8"):
        loaded(weights=str(named), config=config)
    assert eps_error(loaded(weights=str(named), config=config, sha256="none"), "ema") < 1e-4


def test_the_published_configuration_has_the_published_counts():
    """859,532,484 parameters in 686 tensors, and the autoencoder's 83,653,863 in 248."""
    for part, tensors, parameters in (("unet", 686, 859_532_484), ("vae", 248, 83_653_863)):
        with torch.device("meta"):
            module = make_module(part, PUBLISHED)
        sizes = [parameter.numel() for parameter in module.parameters()]
        assert (len(sizes), sum(sizes)) == (tensors, parameters)


@pytest.mark.parametrize("raw", [False, True])
def test_conversion_gives_a_folder_that_stock_libraries_load(tmp_path, checkpoint, config, raw):
    out = tmp_path / "folder"
    assert main(["weights", "convert", str(checkpoint), str(out), "--config", config, *(["--raw"] if raw else [])]) == 0
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import CLIPVisionModelWithProjection

    UNet2DConditionModel.from_pretrained(out / "unet")
    AutoencoderKL.from_pretrained(out / "vae")
    CLIPVisionModelWithProjection.from_pretrained(out / "image_encoder")
    assert DDIMScheduler.from_pretrained(out / "scheduler").config.beta_schedule == "scaled_linear"
    assert load_file(out / "cc_projection" / "diffusion_pytorch_model.safetensors").keys() == {
        "projection.weight",
        "projection.bias",
    }
    index = json.loads((out / "model_index.json").read_text(encoding="utf-8"))
    assert (index["_ema"], index["_pose"], index["vae"]) == (not raw, "zero123", ["diffusers", "AutoencoderKL"])
    assert eps_error(loaded(weights=str(out), ema=not raw), "raw" if raw else "ema") < 1e-4
    if not raw:
        with pytest.raises(RecipeError, match="EMA weights alone"):
            Zero123.build(Zero123Config(weights=str(out), ema=False))


def test_conversion_in_half_precision_is_half_the_size(tmp_path, checkpoint, config):
    sizes = {}
    for dtype in ("float32", "float16"):
        main(["weights", "convert", str(checkpoint), str(tmp_path / dtype), "--config", config, "--dtype", dtype])
        sizes[dtype] = (tmp_path / dtype / "unet" / "diffusion_pytorch_model.safetensors").stat().st_size
    assert 0.5 <= sizes["float16"] / sizes["float32"] < 0.52, "the header stays"


def test_conversion_overwrites_nothing_and_leaves_nothing(tmp_path, checkpoint, config, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("kept", encoding="utf-8")
    assert main(["weights", "convert", str(checkpoint), str(tmp_path / "full"), "--config", config]) == 2
    assert main(["weights", "convert", str(checkpoint), str(tmp_path / "new")]) == 2, "another size"
    assert "denoiser.config" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "mine"]


def test_inspect_tells_parts_averages_and_fit(checkpoint, config, tmp_path, capsys):
    assert main(["weights", "inspect", str(checkpoint), "--config", config]) == 0
    told = capsys.readouterr().out
    unet = len([name for name in original_state() if name.startswith("model.diffusion_model.")])
    assert "step 105000" in told
    assert told.count(f"{unet} tensors") == 2, "raw and averaged"
    assert told.count(" fits") == 4
    assert main(["weights", "inspect", str(checkpoint)]) == 0
    assert "does not fit" in capsys.readouterr().out
    assert main(["weights", "inspect", str(save_folder(tmp_path))]) == 0
    assert "the folder does not say" in capsys.readouterr().out
    assert main(["weights", "inspect", str(tmp_path / "lost.ckpt")]) == 2


def test_list_names_size_licence_and_place(capsys):
    assert main(["weights", "list"]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("105000.ckpt", "15.5", "MIT", "cvlab/zero123-weights", "kxic/zero123-xl"))


def test_variants_are_chosen_by_ema_and_precision():
    def chosen(names, **options):
        files = [f"unet/diffusion_pytorch_model{v}.safetensors" for v in names]
        return choose(Path("unet"), set(variants("unet", files)), Choice(**options), "unet")

    every = ["", ".fp16", ".fp16_ema"]
    assert chosen(every, ema=True) == "fp16_ema"
    assert chosen(every, ema=False) == ""
    assert chosen(every, ema=False, half=True) == "fp16"
    assert chosen(["", ".fp16"], ema=True) == ""
    assert chosen([".fp16"], ema=True) == "fp16"
    assert chosen(["", ".non_ema"], ema=False) == ""
    assert chosen(every, ema=True, variant="fp16") == "fp16"
    with pytest.raises(RecipeError, match=r"EMA weights alone"):
        chosen([".fp16_ema"], ema=False)
    with pytest.raises(RecipeError, match=r"variant: 'bf16' is not in .*fp16_ema"):
        chosen(every, variant="bf16")


def test_a_variant_folder_gives_the_average_by_default(tmp_path):
    folder = save_folder(tmp_path / "raw", "clip_camera_projection", "proj", ema=False)
    averaged = save_folder(tmp_path / "ema", ema=True)
    (file,) = (averaged / "unet").glob("*.safetensors")
    shutil.copy(file, folder / "unet" / "diffusion_pytorch_model.fp16_ema.safetensors")
    assert eps_error(loaded(weights=str(folder)), "ema") < 1e-4
    assert eps_error(loaded(weights=str(folder), ema=False), "raw") < 1e-4
    assert len(Layout(folder, [p.relative_to(folder).as_posix() for p in folder.glob("*/*")], Choice()).files) == 4


def test_code_in_a_folder_is_never_run(tmp_path):
    folder = save_folder(tmp_path / "model", "clip_camera_projection", "proj")
    (folder / "clip_camera_projection" / "clip_camera_projection.py").write_text(
        "raise SystemExit('ran')", encoding="utf-8"
    )
    (folder / "pipeline.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    assert eps_error(loaded(weights=str(folder)), "ema") < 1e-4


def test_nanos_own_file_is_told_from_an_original_one(safetensors, config):
    assert isinstance(Zero123.build(Zero123Config(weights=str(EMBEDDED))), NanoDenoiser)
    assert not isinstance(Zero123.build(Zero123Config(weights=str(safetensors), config=config)), NanoDenoiser)


def hub_cache(root, name, folder):
    """What huggingface_hub keeps of a repository that was downloaded."""
    repository = root / f"models--{name.replace('/', '--')}"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    shutil.copytree(folder, repository / "snapshots" / commit)


def test_a_hub_id_offline_is_read_from_the_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    hub_cache(tmp_path / "cache", "someone/zero123-tiny", save_folder(tmp_path / "model"))
    assert eps_error(loaded(weights="someone/zero123-tiny", offline=True), "ema") < 1e-4
    with pytest.raises(RecipeError, match=r"kxic/zero123-xl.*not in the cache.*5\.0 GB, MIT"):
        Zero123.build(Zero123Config(weights="kxic/zero123-xl", offline=True))


def test_the_offline_flag_reaches_the_hubs_client(tmp_path):
    """In a process of its own: the client reads its environment once."""
    command = ["recipe", "check", "recipes/nano.yaml", "image=examples/mug.png", "denoiser.weights=kxic/zero123-xl"]
    environment = {**os.environ, "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "zero3d.cli", *command, "--offline"],
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 2
    assert "kxic/zero123-xl" in done.stderr
    assert "ffline" in done.stderr or "cache" in done.stderr
    assert "ConnectError" not in done.stderr, "nobody was asked"


def test_a_hub_id_online_fetches_configurations_first_and_weights_when_loaded(tmp_path, monkeypatch):
    import huggingface_hub

    model = save_folder(tmp_path / "model")
    asked = []

    class Api:
        def model_info(self, name, revision=None, timeout=None):
            names = [p.relative_to(model).as_posix() for p in model.rglob("*") if p.is_file()]
            return type("Info", (), {"siblings": [type("S", (), {"rfilename": n})() for n in names]})()

    def snapshot(name, revision=None, allow_patterns=None, local_files_only=False, etag_timeout=None):
        asked.append((revision, allow_patterns))
        out = tmp_path / "snapshot"
        for path in model.rglob("*"):
            relative = path.relative_to(model)
            if path.is_file() and any(relative.match(pattern) for pattern in allow_patterns):
                (out / relative).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, out / relative)
        return str(out)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    denoiser = Zero123.build(Zero123Config(weights="someone/zero123", revision="abc"))
    assert not list((tmp_path / "snapshot").rglob("*.safetensors")), "nothing large before every check is done"
    denoiser.load(torch.device("cpu"))
    assert eps_error(denoiser, "ema") < 1e-4
    assert {revision for revision, _ in asked} == {"abc"}
    assert sum(name.endswith(".safetensors") for name in asked[-1][1]) == 4


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda e, r: e.GatedRepoError("401", response=r), "accept its licence on https://huggingface.co/a/b"),
        (lambda e, r: e.RepositoryNotFoundError("404", response=r), "neither a folder here nor a repository"),
        (lambda e, r: e.RevisionNotFoundError("404", response=r), "no revision 'abc'"),
        (lambda e, r: ConnectionError("no route to host"), "no route to host.*connected machine"),
    ],
)
def test_what_the_hub_refuses_is_one_line(monkeypatch, make, told):
    import huggingface_hub
    from huggingface_hub import errors

    response = SimpleNamespace(headers={}, request=SimpleNamespace(method="GET", url="https://huggingface.co"))

    def refuse(*_, **__):
        raise make(errors, response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(RecipeError, match=told) as caught:
        Zero123.build(Zero123Config(weights="a/b", revision="abc"))
    assert "\n" not in str(caught.value)


def test_stable_zero123s_fourth_number_is_the_inputs_polar_angle():
    cameras = orbit([30.0, -10.0], [0.0, 90.0], 8)
    source = orbit(20.0, 0.0, 8)
    pose = stable_pose(cameras, source)
    assert torch.allclose(pose[:, 3], torch.deg2rad(torch.tensor([70.0, 70.0])), atol=1e-5)
    assert torch.allclose(pose[:, :3], relative_pose(cameras, source)[:, :3])
    level = stable_pose(cameras, orbit(0.0, 0.0, 8))
    assert torch.allclose(level[:, 3], torch.full((2,), torch.pi / 2)), "the usual default: an input at the horizon"


@pytest.mark.parametrize(
    ("name", "pose", "stable"),
    [("stable_zero123", "auto", True), ("zero123-xl", "auto", False), ("zero123-xl", "stable", True)],
)
def test_the_pose_vector_follows_the_name_unless_it_is_given(tmp_path, checkpoint, config, name, pose, stable):
    file = shutil.copy(checkpoint, tmp_path / f"{name}.ckpt")
    denoiser = loaded(weights=str(file), config=config, pose=pose)
    assert denoiser.knows_elevation == stable
    target, source = orbit(30.0, 90.0, 8), orbit(20.0, 0.0, 8)
    expected = (stable_pose if stable else relative_pose)(target, source)
    assert torch.equal(denoiser.pose(target, source), expected)


def test_a_converted_stable_checkpoint_stays_stable_under_another_name(tmp_path, checkpoint, config):
    file = shutil.copy(checkpoint, tmp_path / "stable_zero123.ckpt")
    assert main(["weights", "convert", str(file), str(tmp_path / "renamed"), "--config", config]) == 0
    assert loaded(weights=str(tmp_path / "renamed")).knows_elevation


def test_the_tiny_modules_are_those_that_the_configuration_file_makes(config, checkpoint):
    """The fixture's own construction against the loader's."""
    made = Original(checkpoint, config).configs
    for part, module in zip(("unet", "vae", "image_encoder"), make_modules(), strict=True):
        with torch.device("meta"):
            other = make_module(part, made)
        assert {n: p.shape for n, p in module.named_parameters()} == {n: p.shape for n, p in other.named_parameters()}
    assert made["unet"]["cross_attention_dim"] == CONFIG["ctx"]
    assert open_tensors(checkpoint).step == 105000
