"""The recipes of Gaussians: nano's on a CPU, DreamGaussian's and MicroDreamer's with tiny weights."""

import json

import pytest
import torch
import trimesh

from tests.plugins.zero123_tiny import save_folder
from zero3d.cli import main
from zero3d.mesh_files import load_mesh
from zero3d.parts import build_stages
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import run

COMMON = ["image=examples/mug.png", "device=cpu", "observers={}", "input.resolution=24"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("zero123") / "tiny")


def test_nanos_leaves_a_splat_file_and_a_mesh(tmp_path):
    out = tmp_path / "run"
    chosen = [*COMMON, "input.elevation_deg=20", "steps=4", "cameras.resolution=32", "representation.points=600"]
    run("recipes/nano-gaussians.yaml", load_plugins(), [*chosen, f"out={out}", "export.mesh.resolution=48"])
    points = trimesh.load(out / "splat.ply").vertices
    mesh = load_mesh(out / "mesh.glb")
    assert 500 < len(points) <= 600
    assert mesh.is_watertight
    low, high = mesh.bounds
    assert (abs(points[:, [2, 0, 1]].min(axis=0) - low) < 0.15).all(), "the file's axes are glTF's"
    assert (abs(points[:, [2, 0, 1]].max(axis=0) - high) < 0.15).all()


@pytest.mark.parametrize("recipe", ["dreamgaussian", "microdreamer"])
def test_recipe_check_is_content_with_weights(recipe, weights, capsys):
    assert main(["recipe", "check", f"recipes/{recipe}.yaml", f"denoiser.weights={weights}", "device=cpu"]) == 0
    assert "good" in capsys.readouterr().out


def test_dreamgaussians_numbers(weights):
    """Written out from configs/image.yaml and main.py, not read from the recipe."""
    recipe = load_recipe("recipes/dreamgaussian.yaml", load_plugins(), [f"denoiser.weights={weights}", "device=cpu"])
    first, second = build_stages(recipe)
    cloud, options = first.representation, recipe.options
    assert (options.steps, len(cloud.means), options.optimizer.eps) == (500, 5000, 1e-15)
    rates = {id(group["params"][0]): group["lr_scale"] for group in cloud.param_groups()}
    for parameter, begin, end in (
        (cloud.means, 0.01, 0.0002),
        (cloud.sh_base, 0.01, 0.01),
        (cloud.opacity_logits, 0.05, 0.05),
        (cloud.log_scales, 0.005, 0.005),
        (cloud.quaternions, 0.005, 0.005),
    ):
        rate = [options.optimizer.rate.at(index, 500) * rates[id(parameter)].at(index, 500) for index in (0, 500)]
        assert rate == pytest.approx([begin, end])
    exponential = 0.01 * (0.0002 / 0.01) ** torch.linspace(0, 1, 501)
    ours = torch.tensor([0.01 * rates[id(cloud.means)].at(index, 500) for index in range(501)])
    assert float((ours / exponential - 1).abs().max()) < 0.09
    rule = cloud.growth
    assert [i for i in range(1, 501) if rule.acts(i)] == [100, 200, 300, 400, 500]
    assert (rule.gradient, rule.clone_scale, rule.prune_opacity, rule.prune_scale) == (0.01, 0.04, 0.01, 0.4)
    (term,) = first.guidances
    for index, t in ((0, 980), (100, 800), (250, 500), (499, 20)):
        low, high = (getattr(term.guidance.config, name) for name in ("min_t", "max_t"))
        assert float(type(options.optimizer.rate).parse(low).at(index, 500)) == pytest.approx(t / 1000, abs=2e-3)
        assert low == high
    (view,) = first.regularizers
    assert [view.weight.at(index, 500) for index in (0, 250, 500)] == [0, 5000, 10000]
    assert view.regularizer.config.mask == 0.1
    (view,), (sir,) = second.regularizers, second.guidances
    half_sum = 0.5 * 3 * second.cameras.resolution**2  # what l2 is, of a mean squared error
    assert (view.weight.extremes, view.regularizer.config.mask) == ((half_sum, half_sum), 0)
    assert (sir.weight.extremes, sir.guidance.config.fit) == ((1, 1), "l2")
    texture = recipe.later[0].options.optimizer
    assert texture.rate.at(0, 50) * second.representation.config.colour_lr == pytest.approx(0.2)


def test_dreamgaussian_ends_in_a_textured_mesh(weights, tmp_path):
    small = [
        f"denoiser.weights={weights}",
        "stages.gaussians.steps=3",
        "stages.gaussians.cameras.resolution=24",
        "stages.gaussians.representation.points=400",
        "stages.gaussians.representation.opacity=0.8",
        "stages.gaussians.representation.densify={type: dreamgaussian, start: 2, every: 2}",
        "stages.texture.steps=2",
        "stages.texture.cameras.resolution=24",
        "stages.texture.representation.resolution=24",
        "stages.texture.representation.texture=32",
        "stages.texture.export.mesh={type: textured_mesh, faces: 500, texture: 64}",
        "stages.texture.guidance.sir.samples=3",
    ]
    session = run("recipes/dreamgaussian.yaml", load_plugins(), [*COMMON, *small, f"out={tmp_path / 'run'}"])
    assert load_mesh(session.folder / "mesh.glb").visual.kind == "texture"
    assert (tmp_path / "run" / "1-gaussians" / "splat.ply").is_file()


def test_microdreamer_fits_its_pictures(weights, tmp_path):
    small = ["steps=4", "cameras.resolution=24", "representation.points=300", "guidance.sir.samples=2"]
    chosen = [
        *COMMON,
        *small,
        f"denoiser.weights={weights}",
        "export={}",
        f"out={tmp_path / 'run'}",
        "guidance.sir.every=2",
    ]
    run("recipes/microdreamer.yaml", load_plugins(), chosen)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["guidance.sir.targets_made"] for line in lines] == [1, 1, 2, 2]
    assert lines[3]["regularizers.input_view.value"] < lines[0]["regularizers.input_view.value"]
