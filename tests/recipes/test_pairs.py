"""Every representation with every renderer: it works, or the recipe is refused with the reason, before it starts.

A new representation or renderer needs its smallest sensible options here, and a word on each pair: in `REFUSED` if it
cannot work. What is in neither is tried.
"""

import json
from itertools import product

import pytest
import torch

from zero3d.cli import main
from zero3d.engine import input_camera_at
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import run
from zero3d.testing import fresh_step

REGISTRY = load_plugins()
REPRESENTATIONS = {
    "voxels": "{type: voxels, resolution: 12, box: 0.75, density_gain: 10}",
    "hash_grid": "{type: hash_grid, levels: 3, base_resolution: 4, finest_resolution: 16, table_log2: 9, hidden: 16, "
    "detail: 16, box: 0.75, grid_lr: 10}",
    "mesh": "{type: mesh, subdivisions: 2}",
    "sdf": "{type: sdf, resolution: 24, box: 0.75}",
    "gaussians": "{type: gaussians, points: 40, opacity: 0.4, detail: 0.1, position_lr: 0.2}",
}
RENDERERS = {
    "volume": "{type: volume, step_ratio: 1.0}",
    "fused": "{type: fused, step_ratio: 1.0}",
    "nerfacc": "{type: nerfacc, step_ratio: 1.0, cells: 16}",
    "rasterizer": "{type: rasterizer, blur: 1e-3}",
    "splat": "{type: splat}",
}
REFUSED = {
    ("hash_grid", "fused"): "'fused' draws VoxelFields, but representation 'hash_grid' is none",
    ("mesh", "fused"): "'fused' draws VoxelFields, but representation 'mesh' is none",
    ("mesh", "volume"): "'volume' draws RadianceFields, but representation 'mesh' is none",
    ("mesh", "nerfacc"): "'nerfacc' draws RadianceFields, but representation 'mesh' is none",
    ("voxels", "rasterizer"): "'rasterizer' draws SurfaceRepresentations, but representation 'voxels' is none",
    ("sdf", "fused"): "'fused' draws VoxelFields, but representation 'sdf' is none",
    ("sdf", "rasterizer"): "'rasterizer' draws SurfaceRepresentations, but representation 'sdf' is none",
    ("gaussians", "fused"): "'fused' draws VoxelFields, but representation 'gaussians' is none",
    ("gaussians", "rasterizer"): "'rasterizer' draws SurfaceRepresentations, but representation 'gaussians' is none",
    ("voxels", "splat"): "'splat' draws GaussianClouds, but representation 'voxels' is none",
    ("hash_grid", "splat"): "'splat' draws GaussianClouds, but representation 'hash_grid' is none",
    ("mesh", "splat"): "'splat' draws GaussianClouds, but representation 'mesh' is none",
    ("sdf", "splat"): "'splat' draws GaussianClouds, but representation 'sdf' is none",
    ("hash_grid", "rasterizer"): "'rasterizer' draws SurfaceRepresentations, but representation 'hash_grid' is none",
}
"""Pairs that cannot work, and what is said."""
PAIRS = list(product(REPRESENTATIONS, RENDERERS))
WORKING = [pair for pair in PAIRS if pair not in REFUSED]
STEPS = 12
SHARED = (
    "image=examples/mug.png",
    "device=cpu",
    f"steps={STEPS}",
    "denoiser={type: gaussian, resolution: 16, mean: [0.6, 0.4, 0.3]}",
    "cameras={type: sphere, resolution: 16}",
    "optimizer={type: adam, lr: 0.05}",
    "guidance.sds.weight=0.01",
    "regularizers={input_view: {weight: 100}}",
    "start=null",
    "observers={}",
    "export={}",
)


def overrides(pair):
    return [*SHARED, f"representation={REPRESENTATIONS[pair[0]]}", f"renderer={RENDERERS[pair[1]]}"]


def test_every_representation_and_renderer_has_a_row():
    ours = {entry.component for entry in REGISTRY.all() if entry.package == "zero3d"}
    for kind, rows in (("representation", REPRESENTATIONS), ("renderer", RENDERERS)):
        names = {component.name for component in ours if component.kind == kind}
        assert names == set(rows), (
            f"tests/recipes/test_pairs.py: give each {kind} its options, and only those there are"
        )
    assert set(PAIRS) >= set(REFUSED)


@pytest.mark.parametrize("pair", WORKING, ids=" on ".join)
def test_a_pair_draws_and_its_gradients_reach_every_parameter(pair):
    parts = build_parts(load_recipe("recipes/nano.yaml", REGISTRY, overrides(pair)))
    with torch.no_grad():
        parts.representation.initialise(fresh_step())
        for parameter in parts.representation.parameters():  # off the start, where some derivatives are 0
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    cameras = input_camera_at(20.0).resized(16, 16)
    view = parts.renderer.render(parts.representation, cameras, torch.ones(3), parts.renderer.provides)
    assert view.image.shape == (1, 16, 16, 3)
    assert float(view.opacity.detach().max()) > 0.1
    told = torch.rand(view.image.shape, generator=torch.Generator().manual_seed(0))
    (view.image * told).sum().backward()
    for name, parameter in parts.representation.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("pair", WORKING, ids=" on ".join)
def test_a_run_of_a_pair_comes_nearer_to_the_picture(pair, tmp_path):
    session = run("recipes/nano.yaml", REGISTRY, [*overrides(pair), f"out={tmp_path / 'run'}"], tell=lambda line: None)
    lines = [json.loads(line) for line in (session.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    values = [line["regularizers.input_view.value"] for line in lines]
    assert len(values) == STEPS
    assert values[-1] < 0.8 * values[0]


@pytest.mark.parametrize("pair", REFUSED, ids=" on ".join)
def test_a_pair_that_cannot_work_is_refused_in_one_line(pair, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["run", "recipes/nano.yaml", *overrides(pair), f"out={out}"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert REFUSED[pair] in line
    assert "take a renderer made for it" in line
    assert not out.exists()
