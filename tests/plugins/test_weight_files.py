"""Files of weights that are something else, damaged, or hostile: read, or one line that says what they are."""

import io
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.plugins.zero123_tiny import original_state, save_checkpoint, save_folder, tiny_config
from zero3d.errors import UserError
from zero3d.weights import open_tensors
from zero3d_zero123.component import Zero123, Zero123Config
from zero3d_zero123.nano import weights
from zero3d_zero123.published.original import Original

DATA = Path("tests/data")
IMPOSTORS = {
    "lfs": ((DATA / "lfs.ckpt").read_bytes(), r"Git LFS pointer for 15\.5 GB.*git lfs pull"),
    "html": ((DATA / "html.ckpt").read_bytes(), "web page.*log in"),
    "empty": (b"", "is empty"),
    "zeros": (bytes(5000), "begins with zeros"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(100), "gzip archive; unpack it"),
}


def refused(weights_, told, **options):
    """What the component says of such weights, and that it is one line; loads them if it does not see it before."""
    with pytest.raises(UserError, match=told) as caught:
        Zero123.build(Zero123Config(weights=str(weights_), **options)).load(torch.device("cpu"))
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
@pytest.mark.parametrize("kind", IMPOSTORS)
def test_what_a_download_left_is_told(tmp_path, kind, suffix):
    content, told = IMPOSTORS[kind]
    (tmp_path / f"w{suffix}").write_bytes(content)
    refused(tmp_path / f"w{suffix}", told)


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_what_a_download_left_in_a_folder_is_told(tmp_path, kind):
    content, told = IMPOSTORS[kind]
    folder = save_folder(tmp_path)
    (file,) = (folder / "vae").glob("*.safetensors")
    file.write_bytes(content)
    refused(folder, told)


def test_a_part_that_is_cut_off_is_told(tmp_path):
    folder = save_folder(tmp_path)
    for part in ("unet", "vae", "image_encoder", "cc_projection"):
        (file,) = (folder / part).glob("*.safetensors")
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        refused(folder, part)
        file.write_bytes(whole)


def test_a_file_is_read_by_what_it_is_not_by_its_suffix(tmp_path):
    config = tiny_config(tmp_path)
    state = original_state()
    save_checkpoint(tmp_path / "a.ckpt")
    shutil.move(tmp_path / "a.ckpt", tmp_path / "a.safetensors")
    save_file(state, tmp_path / "b.ckpt")
    for name in ("a.safetensors", "b.ckpt"):
        found = Original(tmp_path / name, config)
        assert torch.equal(found.tensors["cc_projection.weight"], state["cc_projection.weight"])


# -- the hub's cache


def cached(tmp_path, name="models--kxic--stable-zero123", commits=("abc",)):
    repository = tmp_path / "hub" / name
    for commit in commits:
        (repository / "snapshots" / commit).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(save_folder(tmp_path / commit), repository / "snapshots" / commit)
    return repository


def test_a_repository_in_the_hub_s_cache_is_read_and_keeps_its_name(tmp_path):
    repository = cached(tmp_path)
    for folder in (repository, repository / "snapshots" / "abc"):
        made = Zero123.build(Zero123Config(weights=str(folder)))
        assert made.knows_elevation, "by its name it is of the Stable Zero123 family"
        assert all(path.is_file() and "abc" in path.parts for path in made.weight_files())


def test_of_several_snapshots_the_one_that_main_or_the_revision_names_is_read(tmp_path):
    repository = cached(tmp_path, commits=("abc", "def"))
    refused(repository, "without the snapshot of main; it has abc, def")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("def\n", encoding="utf-8")
    for options, commit in (({}, "def"), ({"revision": "abc"}, "abc")):
        made = Zero123.build(Zero123Config(weights=str(repository), **options))
        assert all(commit in path.parts for path in made.weight_files())
    refused(repository, "without the snapshot of v2", revision="v2")
    refused(repository.parent, "is the hub's cache; name one of models--kxic--stable-zero123 in it")


# -- nano's own


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    """nano's tensors in bytes, as they ship."""
    return load_file(weights.EMBEDDED)


SCALED = "unet.enc1.conv1.weight"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop(SCALED + ".scales"), rf"{SCALED} is in bytes, and {SCALED}\.scales is missing"),
        (lambda t: t.update({SCALED + ".scales": torch.ones(3, 1)}), rf"{SCALED}\.scales is \(\(3, 1\), 'F32'\)"),
        (lambda t: t.update({SCALED: t[SCALED].float()}), f"{SCALED} is of F32 with scales"),
        (lambda t: t.update({SCALED: t[SCALED][:, :3].clone()}), rf"{SCALED} is \(32, 3, 3, 3\), not \(32, 32, 3, 3\)"),
        (lambda t: t.pop(SCALED), f"{SCALED} is missing"),
        (lambda t: t.update({"unet.more": torch.ones(1)}), "unet.more is no tensor of nano's"),
        (lambda t: t.update({"unet.out.bias": torch.ones(12, dtype=torch.int32)}), r"unet\.out\.bias is of I32"),
        (lambda t: t.update({"unet.out.bias": torch.full((12,), torch.nan)}), r"unet\.out\.bias holds nan"),
        (lambda t: t.update({SCALED + ".scales": torch.full((32, 1), torch.inf)}), f"{SCALED} holds nan or inf"),
    ],
)
def test_what_is_wrong_with_nano_s_weights_is_named(tmp_path, nano, change, told):
    tensors = dict(nano)
    change(tensors)
    save_file(tensors, tmp_path / "w.safetensors", {"format": weights.FORMAT})
    refused(tmp_path / "w.safetensors", told)


def test_nano_s_weights_are_checked_before_they_are_read(tmp_path, nano, monkeypatch):
    tensors = {name: value for name, value in nano.items() if name != SCALED + ".scales"}
    save_file(tensors, tmp_path / "w.safetensors", {"format": weights.FORMAT})
    monkeypatch.setattr(weights, "load_file", None)
    before = torch.get_rng_state()
    with pytest.raises(UserError, match="is missing"):
        Zero123.build(Zero123Config(weights=str(tmp_path / "w.safetensors")))
    assert torch.equal(torch.get_rng_state(), before)


# -- anything at all


def zipped(path, program, name="archive/data.pkl"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, program)
    return path


HOSTILE = {
    "a memo as long as memory": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a memo as long as memory, in text": b"}p2147483647\n.",
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "an attribute of nothing": b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.",
    "a call without arguments": b"ctorch._utils\n_rebuild_tensor_v2\n)R.",
    "a tensor of nothing": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(NNNNtR.",
    "a call of a number": b"\x80\x02K\x01)R.",
    "numpy's number of no bytes": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85Rcnumpy.core.multiarray\nscalar\n0.",
    "a stack that is empty": b"\x80\x020.",
    "depth": b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b".",
    "a class with a zero in its name": b"\x80\x04X\x0b\x00\x00\x00lightning.xX\x02\x00\x00\x00a\x00\x93)\x81.",
    "no dictionary": pickle.dumps([1, 2]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_pickle_that_is_nonsense_is_one_line(tmp_path, kind):
    refused(zipped(tmp_path / "w.ckpt", HOSTILE[kind]), r"w\.ckpt: (cannot be read as a checkpoint|holds no tensors)")


@pytest.mark.parametrize("form", ["zip", "safetensors", "nano", "pickle"])
def test_no_mutation_of_a_file_is_a_traceback(tmp_path_factory, form, nano):
    """A few bytes changed, or the end cut off: it is read, or it is told in one line."""
    place = tmp_path_factory.mktemp(form)
    small = {name: torch.ones(2, 3) for name in ("model.diffusion_model.a", "first_stage_model.b", "cc_projection.c")}
    file = place / {"zip": "w.ckpt", "pickle": "w.ckpt"}.get(form, "w.safetensors")
    if form in ("zip", "pickle"):
        torch.save({"state_dict": small, "global_step": 3}, file)
    else:
        save_file(nano if form == "nano" else small, file, {"format": weights.FORMAT})
    whole = bytearray(file.read_bytes())
    if form == "pickle":
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            whole = bytearray(archive.read("w/data.pkl"))
    header = 8 + int.from_bytes(whole[:8], "little") if form in ("safetensors", "nano") else len(whole)
    edits = st.lists(st.tuples(st.integers(0, header - 1), st.integers(0, 255)), min_size=1, max_size=4)

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(edits, st.one_of(st.none(), st.integers(0, len(whole))))
    def hold(changed, end):
        content = bytearray(whole)
        for place_, value in changed:
            content[place_] = value
        if form == "pickle":
            zipped(file, bytes(content[:end]), "w/data.pkl")
        else:
            file.write_bytes(content[:end])
        try:
            if form == "nano":
                weights.check(file)
            else:
                for tensor in open_tensors(file).values():
                    assert isinstance(tensor, torch.Tensor)
        except UserError as error:
            told = str(error)
        else:
            told = "read"
        assert len(told.splitlines()) == 1

    hold()
