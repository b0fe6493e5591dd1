"""The recipe of Zero123++: checks, mistakes in one line before loading, and some steps with tiny weights."""

import json

import pytest

from tests.plugins.novel_views_tiny import save_sv3d, save_zero123plus, sv3d_config
from zero3d.cli import main
from zero3d.mesh_files import load_mesh
from zero3d.plugins import load_plugins
from zero3d.run import run

RECIPE = "recipes/zero123plus.yaml"
SMALL = ["representation.resolution=16", "cameras.resolution=16", "export.mesh.resolution=24", "device=cpu"]
IMAGE = "image=examples/mug.png"


@pytest.fixture(scope="module")
def tile(tmp_path_factory):
    folder = save_zero123plus(tmp_path_factory.mktemp("models") / "zero123plus-v1.2")
    return [f"denoiser.weights={folder}", "denoiser.size=64"]


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_some_steps_with_tiny_weights(tile, tmp_path):
    out = tmp_path / "run"
    changes = [*tile, *SMALL, IMAGE, "steps=4", f"out={out}", "guidance.target_pictures.steps=3"]
    session = run(RECIPE, load_plugins(), [*changes, "observers={progress: {}}"], tell=lambda line: None)
    told = lines_of(session.folder)
    assert len(told) == 4
    assert all(line["guidance.target_pictures.gradient"] > 0 for line in told)
    assert {line["guidance.target_pictures.pictures_made"] for line in told} == {1.0}
    assert load_mesh(out / "mesh.glb").vertices.shape[1] == 3
    manifest = (out / "manifest.json").read_text(encoding="utf-8")
    for part in ("unet", "vae", "text_encoder", "vision_encoder"):
        assert part in manifest


def test_the_same_with_sv3d(tmp_path):
    path, config = save_sv3d(tmp_path / "sv3d_p.safetensors"), sv3d_config(tmp_path)
    out, term = tmp_path / "run", "guidance.target_pictures"
    changes = [f"denoiser={{type: sv3d, weights: {path}, config: {config}, size: 64}}", *SMALL, IMAGE, f"out={out}"]
    published = [f"{term}.spacing=even", f"{term}.eta=0", f"{term}.view_scale=triangle", f"{term}.guidance_scale=2.5"]
    changes += [*published, f"{term}.steps=2", "steps=2", "observers={progress: {}}", "export={}"]
    session = run(RECIPE, load_plugins(), changes, tell=lambda line: None)
    assert all(line[f"{term}.gradient"] > 0 for line in lines_of(session.folder))


def test_recipe_check_is_content_with_weights(tile, capsys):
    assert main(["recipe", "check", RECIPE, *tile, *SMALL]) == 0
    assert "good" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "guidance={sds: {}}",
            "denoises 6 views jointly, but 'sphere' draws 2 views in groups of 1; take target_pictures",
        ),
        ("guidance.target_pictures.azimuth_deg=[0, 60]", "'zero123plus' draws views of its own alone; remove it"),
        ("denoiser.version=1.1", "are of 1.2; set version=auto"),
        ("denoiser={type: gaussian}", "'gaussian' has no views of its own; give for example"),
    ],
)
def test_mistakes_are_told_before_loading(change, line, tile, tmp_path, capsys):
    out = tmp_path / "run"
    given = tile if not change.startswith("denoiser={") else []
    assert main(["run", RECIPE, *given, *SMALL, IMAGE, f"out={out}", change]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert line in said
    assert not out.exists()


def test_without_weights_one_line_says_where_they_are(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert main(["run", RECIPE, IMAGE, f"out={tmp_path / 'run'}", "device=cpu", "denoiser.offline=true"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    for part in ("denoiser.weights", "sudo-ai/zero123plus-v1.2", "https://"):
        assert part in line
