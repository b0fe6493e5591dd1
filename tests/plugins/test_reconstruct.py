"""`zero3d reconstruct`: a reconstructor's model in a run's folder, which every other command reads."""

import json

import pytest
import trimesh

from zero3d import cli
from zero3d.errors import RecipeError
from zero3d.plugins import load_plugins
from zero3d.run import check, one_shot

SMALL = ["representation.resolution=24", "export.mesh.resolution=24", "observers=null"]


@pytest.fixture(scope="module")
def lifted(tmp_path_factory):
    out = tmp_path_factory.mktemp("lifted") / "run"
    assert cli.main(["reconstruct", "nano_lift", "image=examples/mug.png", f"out={out}", *SMALL]) == 0
    return out


def test_it_makes_a_run_that_other_commands_read(lifted, tmp_path):
    mesh = trimesh.load(lifted / "mesh.glb", force="mesh")
    assert mesh.is_watertight
    assert 0.8 < mesh.extents.max() < 1.3
    manifest = json.loads((lifted / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["weights"]["start"]
    assert cli.main(["export", str(lifted), "export.mesh.resolution=16"]) == 0
    assert cli.main(["resume", str(lifted)]) == 0
    assert cli.main(["eval", str(lifted), "--mesh", str(lifted / "mesh.glb"), "--json", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["iou"] > 0.95


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nano_lfit", "image=a.png"], "nano_lfit"),
        (["nano_lift", "image=nowhere.png", "out=x"], "nowhere.png"),
        (["nano_lift", "out=x"], "image"),
        (["nano_lift", "image=examples/mug.png", "out=x", "start.weights=nowhere.safetensors"], "nowhere"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, told, capsys, tmp_path):
    arguments = [a.replace("out=x", f"out={tmp_path / 'x'}") for a in arguments]
    assert cli.main(["reconstruct", *arguments]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_a_start_that_nobody_would_look_at_is_refused():
    mesh = ["representation={type: mesh, start: sphere}", "renderer={type: rasterizer}", "export=null", "out=x"]
    with pytest.raises(RecipeError, match=r"start: representation 'mesh' as set begins from something else"):
        check("recipes/nano.yaml", load_plugins(), mesh)


def test_a_mesh_begins_from_what_a_reconstructor_makes():
    mesh = ["representation={type: mesh, start: previous}", "renderer={type: rasterizer}", "export=null"]
    check("recipes/nano.yaml", load_plugins(), mesh)


def test_a_reconstructor_that_names_no_keys_says_what_to_write(monkeypatch):
    registry = load_plugins()
    monkeypatch.setattr(registry.get("reconstructor", "nano_lift", "here"), "recipe", {})
    with pytest.raises(RecipeError, match=r"write a recipe with start: \{type: nano_lift\}, steps: 0"):
        one_shot("nano_lift", registry)
