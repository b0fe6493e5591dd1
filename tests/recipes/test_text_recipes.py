"""DreamFusion, SJC from words and SJC-I: their sources' numbers through the built parts, and some steps on tiny weights."""

import contextlib
import json
import math

import pytest

from tests.plugins.sd_tiny import save_deepfloyd, save_stable_diffusion, save_variations
from zero3d.errors import ExportError, RecipeError
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import run
from zero3d.testing import fresh_step

DREAM, TEXT, PICTURE = (f"recipes/{name}.yaml" for name in ("dreamfusion", "sjc-text", "sjc-i"))
SUBJECT = {DREAM: "prompt=a cat", TEXT: "prompt=a cat", PICTURE: "image=examples/mug.png"}
SMALL = {
    DREAM: [
        *("representation.levels=2", "representation.finest_resolution=24", "representation.table_log2=10"),
        *("representation.detail=16", "cameras.resolution=16", "export.mesh.resolution=32"),
    ],
    TEXT: ["representation.resolution=16", "cameras.resolution=16", "export={}"],
    PICTURE: ["representation.resolution=16", "cameras.resolution=16", "export={}"],
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    place = tmp_path_factory.mktemp("tiny")
    return {
        DREAM: save_deepfloyd(place / "if"),
        TEXT: save_stable_diffusion(place / "sd"),
        PICTURE: save_variations(place / "variations"),
    }


def loaded(name, weights, *more):
    overrides = [f"denoiser.weights={weights[name]}", "device=cpu", SUBJECT[name], *more]
    recipe = load_recipe(name, load_plugins(), overrides)
    return recipe, build_parts(recipe)


@pytest.mark.parametrize("name", [TEXT, PICTURE])
def test_sjcs_numbers(name, weights):
    """Written out from run_sjc.py."""
    recipe, parts = loaded(name, weights, "representation.resolution=16")
    options = recipe.options
    assert (options.steps, options.optimizer.type, options.optimizer.lr) == (10_000, "adamax", 0.05)
    camera = parts.cameras.config
    assert (camera.distance, camera.fov_deg, parts.cameras.resolution) == ([1.5, 1.5], [40, 70], 64)
    # v = 100 degrees: cos(polar) = 1 - 2 v / pi
    lowest = 90 - math.degrees(math.acos(1 - 2 * math.radians(100) / math.pi))
    assert camera.elevation_deg[0] == pytest.approx(lowest, abs=0.05)
    (guide,) = parts.guidances
    assert guide.guidance.name == "sjc"
    assert guide.guidance.config.guidance_scale(fresh_step(0, 10)) == 100
    assert guide.guidance._t_range == (10, 970)
    (term,) = parts.regularizers
    assert [term.weight.at(index, 10_000) for index in (0, 4999, 5000, 9999)] == [1e4, 1e4, 2e5, 2e5]
    if name == TEXT:
        words = parts.denoisers["denoiser"].config
        overhead = 90 - math.degrees(math.acos(1 - 2 * math.radians(30) / math.pi))
        assert words.overhead_deg == pytest.approx(overhead, abs=0.05)
        assert (words.view_words, words.front_deg, words.back_deg) == ("prefix", 45, 45)


def test_dreamfusions_numbers_are_threestudios(weights):
    recipe, parts = loaded(DREAM, weights)
    options = recipe.options
    assert (options.steps, options.optimizer.type, options.optimizer.lr) == (10_000, "adam", 0.01)
    assert (list(options.optimizer.kept), options.optimizer.eps) == ([0.9, 0.99], 1e-15)
    (guide,) = parts.guidances
    config = guide.guidance.config
    assert config.guidance_scale(fresh_step(0, 10)) == 20 + 1
    assert (config.weighting, config.inclusive) == ("one_minus_alphas_cumprod", True)
    assert config.times.t_range(fresh_step(0, 10), 1000) == (20, 981)
    assert parts.cameras.config.fov_deg == [40, 70]
    denoiser = parts.denoisers["denoiser"]
    assert (denoiser.name, denoiser.channels) == ("deepfloyd_if", 3)


@pytest.mark.parametrize("name", [DREAM, TEXT, PICTURE])
def test_some_steps_on_tiny_weights(name, weights, tmp_path):
    out = tmp_path / "run"
    overrides = [SUBJECT[name], f"out={out}", "device=cpu", "steps=3", "observers={}", *SMALL[name]]
    with contextlib.suppress(ExportError):  # so few steps need make no surface
        run(name, load_plugins(), [*overrides, f"denoiser.weights={weights[name]}"], tell=lambda line: None)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 3
    assert all(math.isfinite(value) for line in lines for value in line.values())
    guidance = "guidance.sds" if name == DREAM else "guidance.sjc"
    assert all(line[f"{guidance}.gradient"] > 0 for line in lines)
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert "unet" in json.dumps(manifest)


def test_what_is_wanted_must_be_said(weights):
    for name, told in ((DREAM, "needs a prompt"), (PICTURE, "needs a picture")):
        other = "image=examples/mug.png" if name == DREAM else "prompt=a cat"
        with pytest.raises(RecipeError, match=told):
            build_parts(load_recipe(name, load_plugins(), [f"denoiser.weights={weights[name]}", "device=cpu", other]))


def test_perp_neg_over_stable_diffusion_runs(weights, tmp_path):
    """Three views a step, each with its own negatives; RGB through the sliced autoencoder."""
    out = tmp_path / "run"
    overrides = [
        *("prompt=a cat", f"out={out}", "device=cpu", "steps=2", "observers={}", *SMALL[DREAM]),
        f"denoiser={{type: stable_diffusion, weights: '{weights[TEXT]}', blend: true, vae_slicing: true}}",
        *("guidance.sds.perp_neg=true", "guidance.sds.guidance_scale=7.5", "cameras.views=3"),
    ]
    with contextlib.suppress(ExportError):  # so few steps need make no surface
        run(DREAM, load_plugins(), overrides, tell=lambda line: None)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2
    assert all(line["guidance.sds.gradient"] > 0 for line in lines)


def test_vsd_over_stable_diffusion_trains_its_adapters(weights, tmp_path):
    pytest.importorskip("peft")
    out = tmp_path / "run"
    overrides = [
        *("prompt=a cat", f"out={out}", "device=cpu", "steps=2", "observers={}", "export={}", *SMALL[TEXT][:2]),
        f"denoiser.weights={weights[TEXT]}",
        *("guidance={vsd: {critic: lora}}", "regularizers={}"),
    ]
    run(TEXT, load_plugins(), overrides, tell=lambda line: None)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(line["guidance.vsd.gradient"] > 0 for line in lines)
