"""Coarse to mesh, for real: the recipe's two stages with the embedded nano, and exact resume in either after kill -9."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from tests.plugins.zero123_tiny import save_folder
from zero3d import checkpoint
from zero3d.mesh_files import load_mesh
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe, read_yaml
from zero3d.run import run

RECIPE = "recipes/zero123-refine.yaml"
SMALL = [
    "image=examples/mug.png",
    "device=cpu",
    "input.elevation_deg=20",
    "denoiser.weights=nano",
    "denoiser.pose=auto",
    "cameras.resolution=32",
    "cameras.views=1",
    "observers={}",
    "export.mesh.resolution=40",
    "checkpoint.every=5",
    "stages.coarse.steps=30",
    "stages.coarse.representation.resolution=32",
    "stages.coarse.optimizer.lr=0.05",
    "stages.refine.steps=12",
    "stages.refine.cameras.resolution=32",
    "stages.refine.cameras.views=1",
    "stages.refine.representation.resolution=24",
    "stages.refine.representation.texture=64",
    "stages.refine.renderer.blur=1e-4",
    "stages.refine.export.mesh.texture=128",
]


def start(out):
    command = [sys.executable, "-m", "zero3d.cli", "run", RECIPE, f"out={out}", *SMALL]
    return subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("refine") / "whole"
    process = start(out)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return out


def test_the_second_stage_refines_the_first_ones_surface(whole):
    coarse, fine = load_mesh(whole / "1-coarse" / "mesh.glb"), load_mesh(whole / "2-refine" / "mesh.glb")
    assert fine.visual.kind == "texture"
    assert yaml.safe_load((whole / "2-refine" / "mesh.report.yaml").read_text(encoding="utf-8"))["watertight"]
    first, last = (checkpoint.read(whole / stage)[0] for stage in ("1-coarse", "2-refine"))
    assert "representation.raw_density" in first
    assert len(fine.faces) == len(last["representation.faces"]), "exported as it is"
    assert len(fine.faces) != len(coarse.faces)
    apart = abs(coarse.bounds - fine.bounds)
    assert apart.max() < 0.1, "where the field was dense, give or take a threshold and twelve steps"
    assert float(last["representation.colours"].std()) > 0.01


@pytest.mark.parametrize(("stage", "lines"), [("1-coarse", 12), ("2-refine", 7)])
def test_after_kill_9_in_either_stage(stage, lines, whole, tmp_path):
    out = tmp_path / "killed"
    process = start(out)
    log = out / stage / "metrics.jsonl"
    while not (log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) >= lines):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    done = subprocess.run(
        [sys.executable, "-m", "zero3d.cli", "resume", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    for name in ("1-coarse", "2-refine"):
        own, known = (checkpoint.read(folder / name)[0] for folder in (out, whole))
        assert own.keys() == known.keys()
        assert all(torch.equal(own[key], known[key]) for key in own), name
        assert (out / name / "mesh.glb").read_bytes() == (whole / name / "mesh.glb").read_bytes(), name


def test_the_recipe_as_it_is_looks_closer_in_its_second_stage():
    coarse = load_recipe(RECIPE, load_plugins())
    (refine,) = coarse.later
    assert refine.cameras.build().resolution == 2 * coarse.cameras.build().resolution
    assert set(coarse.regularizers) == {"input_view", "sparsity", "opaque", "depth_smoothness"}
    assert set(refine.regularizers) == {
        "input_view",
        "mesh_laplacian",
        "mesh_normal_consistency",
        "mesh_edge_length",
    }


def test_the_coarse_stage_is_zero123s():
    coarse, known = load_recipe(RECIPE, load_plugins()).source, read_yaml("recipes/zero123.yaml")
    for key in ("steps", "input", "denoiser", "cameras", "representation", "renderer", "optimizer", "guidance"):
        assert coarse[key] == known[key], key
    assert coarse["regularizers"] == known["regularizers"]


def test_both_stages_run_on_the_published_networks_layout(tmp_path):
    """Tiny weights; two steps leave no surface in a field, so the mesh begins with a sphere."""
    weights = save_folder(tmp_path / "tiny")
    overrides = [
        "image=examples/mug.png",
        f"out={tmp_path / 'run'}",
        "device=cpu",
        "input.elevation_deg=20",
        f"denoiser.weights={weights}",
        "observers={}",
        "cameras.resolution=16",
        "cameras.views=1",
        "stages.coarse.steps=2",
        "stages.coarse.export.mesh=null",
        "stages.coarse.representation.resolution=16",
        "stages.refine.steps=2",
        "stages.refine.cameras.resolution=16",
        "stages.refine.representation.start=sphere",
        "stages.refine.representation.subdivisions=2",
        "stages.refine.representation.texture=32",
        "stages.refine.export.mesh.texture=64",
    ]
    session = run(RECIPE, load_plugins(), overrides, tell=lambda line: None)
    assert session.folder.name == "2-refine"
    report = yaml.safe_load((session.folder / "mesh.report.yaml").read_text(encoding="utf-8"))
    assert (report["faces"], report["watertight"]) == (320, True)
    lines = [json.loads(line) for line in (session.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2
    for term in ("guidance.sds", "regularizers.input_view", "regularizers.mesh_laplacian"):
        assert all(line[f"{term}.gradient"] > 0 for line in lines), term
