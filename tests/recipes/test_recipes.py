"""Every shipped reconstruction recipe is valid, and runs for some steps with teachers whose answer is known."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from tests.plugins.clip_tiny import save_folder
from zero3d.cli import main
from zero3d.mesh_files import load_mesh
from zero3d.plugins import load_plugins
from zero3d.recipe import read_yaml
from zero3d.run import run

RECIPES = [
    str(path)
    for path in sorted(Path("recipes").glob("*.yaml"))
    if "representation" in (recipe := read_yaml(path)) and recipe.get("denoiser", {}).get("weights") == "nano"
]
"""Those whose weights are here; test_published.py has the others."""
SMALL = ["cameras.resolution=24", "representation.resolution=16", "observers={}", "device=cpu"]
COARSE = ["export.mesh.threshold=0.05", "export.mesh.texture=64", "export.mesh.faces=500"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipe_check_is_content(recipe, capsys):
    assert main(["recipe", "check", recipe, "device=cpu"]) == 0
    assert "good" in capsys.readouterr().out


def test_nano_runs_end_to_end_and_leaves_what_is_promised(tmp_path):
    out = tmp_path / "run"
    overrides = ["image=examples/mug.png", f"out={out}", "steps=6", *COARSE]
    small = [override for override in SMALL if not override.startswith("observers")]
    preview, turntable = "observers.preview.every=3", "observers.turntable={frames: 4, size: 64}"
    run("recipes/nano.yaml", load_plugins(), [*overrides, *small, preview, turntable], tell=lambda line: None)
    for name in (
        "mesh.glb",
        "turntable.mp4",
        "previews/step_000003.png",
        "recipe.yaml",
        "manifest.json",
        "metrics.jsonl",
        "report.html",
    ):
        assert (out / name).is_file(), name
    report = yaml.safe_load((out / "mesh.report.yaml").read_text(encoding="utf-8"))
    assert report["watertight"]
    assert {"render_rmse", "silhouette_iou", "components", "threshold", "texture"} <= set(report)
    assert load_mesh(out / "mesh.glb").visual.kind == "texture"
    assert "nano.safetensors" in (out / "manifest.json").read_text(encoding="utf-8"), "the weights' hash is kept"


def needs_a_file(term):
    return any(field.name == "file" for field in dataclasses.fields(term.Config))


def test_two_guidances_and_every_regularizer_run_together(tmp_path):
    """sjc and sds at once, each with its own teacher; every first-party regularizer of voxels beside them."""
    registry = load_plugins()
    classes = {name: registry.get("regularizer", name, "test") for name in registry.names("regularizer")}
    field = registry.get("representation", "voxels", "test")
    terms = {
        name: {"weight": 0.1}
        for name, term in classes.items()
        if issubclass(field, term.accepts) and not needs_a_file(term)
    }
    assert len(terms) >= 9
    overrides = [
        "image=examples/mug.png",
        f"out={tmp_path / 'run'}",
        "steps=4",
        "renderer={type: nerfacc, step_ratio: 1.0, jitter: true}",  # it provides normals
        "denoiser=null",
        "denoisers={red: {type: gaussian, mean: [0.9, 0.1, 0.1], resolution: 24}, grey: {type: gaussian, resolution: 24}}",
        "guidance={sds: {denoiser: red}, sjc: {denoiser: grey, cameras: {type: zero123, resolution: 16}}}",
        f"encoder={{type: clip, weights: {save_folder(tmp_path / 'clip')}}}",
        f"regularizers={terms}".replace("'", ""),
        "export={}",
    ]
    session = run("recipes/nano.yaml", registry, [*SMALL, *overrides], tell=lambda line: None)
    log = (session.folder / "metrics.jsonl").read_text(encoding="utf-8")
    for label in ("guidance.sds", "guidance.sjc", *(f"regularizers.{name}" for name in terms)):
        assert f"{label}.gradient" in log
