"""The recipes of Dream Fields and DietNeRF: their numbers, and some steps with a tiny CLIP."""

import json
import math

import pytest
import torch

from tests.plugins.clip_tiny import save_folder
from zero3d.cli import main
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import run
from zero3d.testing import fresh_step

REGISTRY = load_plugins()
FIELDS, DIET = "recipes/dream-fields.yaml", "recipes/dietnerf.yaml"
SMALL = [
    *("device=cpu", "observers={}", "cameras.resolution=24", "export={}", "checkpoint.every=2"),
    *("representation.levels=2", "representation.finest_resolution=24", "representation.table_log2=10"),
    "representation.detail=16",
]
PICTURES = [f"images.{label}.path=examples/mug.png" for label in ("front", "right", "back", "left")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("clip") / "tiny")


def quiet(line):
    pass


def metrics(session):
    return [json.loads(line) for line in (session.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    "overrides", [['prompt="a red mug"'], ["image=examples/mug.png", "guidance.clip.target=picture"]]
)
def test_dream_fields_runs_towards_words_or_a_picture(weights, tmp_path, overrides):
    chosen = [
        *SMALL,
        *overrides,
        f"encoder.weights={weights}",
        f"out={tmp_path / 'run'}",
        "steps=4",
        "guidance.clip.crops=2",
    ]
    session = run(FIELDS, REGISTRY, chosen, tell=quiet)
    told = metrics(session)
    assert len(told) == 4
    for line in told:
        assert -1 <= line["guidance.clip.cosine"] <= 1
        assert line["guidance.clip.gradient"] > 0
    assert told[0]["guidance.clip.opacity"] == pytest.approx(0.6, abs=1e-3)
    manifest = json.loads((session.folder / "manifest.json").read_text(encoding="utf-8"))
    assert "model.safetensors" in json.dumps(manifest)


def test_dream_fields_moves_the_field_closer_to_the_picture(weights, tmp_path):
    """The same crops and backgrounds in each step would be needed for a proof; the mean over some steps will do."""
    chosen = [*SMALL, "image=examples/mug.png", "guidance.clip={target: picture, backgrounds: [], crop: 1.0, crops: 1}"]
    chosen += [f"encoder.weights={weights}", f"out={tmp_path / 'run'}", "steps=40", "optimizer.lr=0.02"]
    told = [line["guidance.clip.cosine"] for line in metrics(run(FIELDS, REGISTRY, chosen, tell=quiet))]
    assert sum(told[-5:]) / 5 > sum(told[:5]) / 5 + 0.01


def test_dietnerf_asks_clip_in_every_tenth_step_of_the_first_half(weights, tmp_path):
    chosen = [
        *SMALL,
        *PICTURES,
        f"encoder.weights={weights}",
        f"out={tmp_path / 'run'}",
        "steps=24",
        "input.resolution=16",
    ]
    told = metrics(run(DIET, REGISTRY, chosen, tell=quiet))
    asked = [index for index, line in enumerate(told) if "regularizers.clip_consistency.value" in line]
    assert asked == [0, 10]
    assert all(line["regularizers.input_view.value"] > 0 for line in told)
    assert told[-1]["regularizers.input_view.value"] < told[0]["regularizers.input_view.value"]


def test_the_published_numbers(weights):
    fields, diet = (load_recipe(name, REGISTRY, [f"encoder.weights={weights}"]) for name in (FIELDS, DIET))
    (term,) = build_parts(load_recipe(FIELDS, REGISTRY, [f"encoder.weights={weights}", "prompt=a cat"])).guidances
    cameras = term.sampler.sample(fresh_step())
    assert float(torch.rad2deg(cameras.elevation)) == pytest.approx(30, abs=1e-3)
    assert 0.5 / math.tan(float(cameras.fovs) / 2) == pytest.approx(1.2 * 1111 / 800, rel=2e-3)
    assert float(term.guidance.wanted_opacity(cameras, fresh_step(0, 10_000))) == pytest.approx(0.6, abs=2e-3)
    assert float(term.guidance.wanted_opacity(cameras, fresh_step(500, 10_000))) == pytest.approx(0.12, abs=5e-4)
    assert round(168 * term.guidance.config.crop) == 154
    assert fields.options.steps == 10_000
    ramp = [1e-3 * 10 ** (k / 1500) for k in (0, 375, 750, 1125, 1500)]
    found = [fields.options.optimizer.rate.at(k, 10_000) for k in (0, 375, 750, 1125, 1500)]
    assert found == pytest.approx(ramp, rel=2e-3)
    weight = diet.regularizers["clip_consistency"].weight
    assert [weight.at(k, 20_000) for k in (0, 1, 10, 9990, 10_000)] == [0.1, 0, 0.1, 0.1, 0]


def test_what_an_encoder_cannot_read_is_one_line_before_anything_is_loaded(weights, tmp_path, capsys, monkeypatch):
    mute = save_folder(tmp_path / "mute", tokenizer=False)
    capsys.readouterr()
    monkeypatch.setattr("zero3d_clip.encoder.ClipEncoder.load", lambda self, device: pytest.fail("loaded"))
    for chosen, told in (
        (
            [f"encoder.weights={mute}", "prompt=a cat"],
            "mute has no tokenizer; name a folder with CLIP's, encoder.tokenizer=FOLDER, or",
        ),
        ([f"encoder.weights={weights}", "prompt=a cat", "encoder.layer=last_hidden"], "set encoder.layer=projected"),
        ([f"encoder.weights={weights}", "image=examples/mug.png"], "needs a prompt, and the recipe gives none"),
        ([f"encoder.weights={tmp_path / 'none'}", "prompt=a cat"], "encoder.weights: "),
    ):
        assert main(["run", FIELDS, *SMALL, *chosen, f"out={tmp_path / 'run'}"]) == 2
        line = capsys.readouterr().err
        assert line.count("\n") == 1
        assert told in line


@pytest.mark.parametrize(("recipe", "more"), [(FIELDS, []), (DIET, PICTURES)])
def test_recipe_check_is_content_with_weights(recipe, more, weights, capsys):
    assert main(["recipe", "check", recipe, f"encoder.weights={weights}", "device=cpu", *more]) == 0
    assert "good" in capsys.readouterr().out
