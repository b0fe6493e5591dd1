"""ProlificDreamer, LucidDreamer, Magic123, VSD and SIR over Zero-1-to-3: their sources' numbers, tiny weights."""

import contextlib
import json
import math

import pytest

from tests.plugins.sd_tiny import save_stable_diffusion
from tests.plugins.zero123_tiny import save_folder
from zero3d.cli import main
from zero3d.errors import ExportError, RecipeError
from zero3d.mesh_files import load_mesh
from zero3d.parts import build_parts, build_stages
from zero3d.parts.build import memory_of
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import run
from zero3d.testing import fresh_step

GRID = {"levels": 2, "finest_resolution": 24, "table_log2": 10, "detail": 16}
SMALL_GRID = [f"representation.{name}={value}" for name, value in GRID.items()]
SUBJECT = {
    "prolificdreamer": ["prompt=a cat"],
    "luciddreamer": ["prompt=a cat", "negative=ugly"],
    "magic123": ["image=examples/mug.png", "prompt=a mug"],
    "zero123-vsd": ["image=examples/mug.png"],
    "zero123-sir": ["image=examples/mug.png"],
}
SMALL = {
    "prolificdreamer": [
        *(f"stages.field.representation.{name}={value}" for name, value in GRID.items()),
        *("stages.field.cameras.resolution=16", "cameras.resolution=16", "stages.field.steps=2"),
        *("stages.geometry.steps=2", "stages.texture.steps=2", "export.mesh.resolution=32"),
        *("stages.geometry.representation.resolution=16", "stages.geometry.renderer.blur=1e-3"),
        *("stages.texture.representation.texture=32", "stages.texture.export.mesh.texture=64"),
    ],
    "luciddreamer": [
        *("steps=2", "representation.points=200", "representation.max_count=400", "cameras.resolution=16"),
        *("cameras.views=2", "export.mesh=null"),
    ],
    "magic123": [
        *(f"stages.coarse.representation.{name}={value}" for name, value in GRID.items()),
        *("cameras.resolution=16", "input.resolution=16", "stages.coarse.steps=2", "stages.fine.steps=2"),
        *("stages.fine.cameras.resolution=16", "stages.fine.input.resolution=16", "export.mesh.resolution=32"),
        *("stages.fine.representation.resolution=16", "stages.fine.representation.texture=32"),
        "stages.fine.export.mesh.texture=64",
    ],
    "zero123-vsd": [*SMALL_GRID, "steps=2", "cameras.resolution=16", "export.mesh.resolution=32"],
    "zero123-sir": [
        *("steps=3", "cameras.resolution=16", "cameras.views=2", "representation.resolution=16", "export={}"),
        *("guidance.sir.samples=3", "guidance.sir.every=2"),
    ],
}
"""What a test changes of the recipe, beside its weights."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Recipe -> the overrides that name tiny weights."""
    place = tmp_path_factory.mktemp("tiny")
    words, views = save_stable_diffusion(place / "sd"), save_folder(place / "zero123")
    return {
        "prolificdreamer": [f"denoiser.weights={words}"],
        "luciddreamer": [f"denoiser.weights={words}"],
        "magic123": [f"denoisers.words.weights={words}", f"denoisers.views.weights={views}"],
        "zero123-vsd": [f"denoiser.weights={views}"],
        "zero123-sir": [f"denoiser.weights={views}"],
    }


@pytest.mark.parametrize("name", SUBJECT)
def test_recipe_check_is_content_with_weights(name, weights, capsys):
    grid = [text for text in SMALL[name] if "representation" in text]  # the memory of this machine is not theirs
    assert main(["recipe", "check", f"recipes/{name}.yaml", *weights[name], *grid, "device=cpu"]) == 0
    assert "good" in capsys.readouterr().out


def test_large_views_of_many_gaussians_are_counted_by_the_view(weights):
    """At 4 views of 1024^2 and 500,000 Gaussians: 8 novel and near views and the input's, 1,500 bytes a Gaussian in each."""
    chosen = [*weights["luciddreamer"], "device=cpu", "cameras.resolution=1024", "representation.max_count=500000"]
    recipe = load_recipe("recipes/luciddreamer.yaml", load_plugins(), chosen)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zero3d.parts.build.free_bytes", lambda device: 24 * 2**30)
        (parts,) = build_stages(recipe)
        assert memory_of(recipe, parts).render == 9 * 1500 * 500_000 + 9 * 1024**2 * 200
        patch.setattr("zero3d.parts.build.free_bytes", lambda device: 2**20)
        with pytest.raises(RecipeError, match=r"lower representation\.max_count or cameras\.resolution$"):
            build_stages(recipe)


def figures(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", SUBJECT)
def test_some_steps_on_tiny_weights(name, weights, tmp_path):
    out = tmp_path / "run"
    chosen = [*SUBJECT[name], *weights[name], *SMALL[name], f"out={out}", "device=cpu", "observers={}"]
    with contextlib.suppress(ExportError):  # so few steps need make no surface of voxels
        run(f"recipes/{name}.yaml", load_plugins(), chosen, tell=lambda line: None)
    folders = sorted(out.glob("[0-9]-*")) or [out]
    assert [folder.name for folder in folders] == {
        "prolificdreamer": ["1-field", "2-geometry", "3-texture"],
        "magic123": ["1-coarse", "2-fine"],
    }.get(name, ["run"])
    for folder in folders:
        lines = figures(folder)
        assert len(lines) == (3 if name == "zero123-sir" else 2)
        assert all(math.isfinite(value) for line in lines for value in line.values())
        pulls = {key for key in lines[-1] if key.startswith("guidance.") and key.endswith(".gradient")}
        assert len(pulls) == (2 if name == "magic123" else 1)
        assert all(lines[-1][key] > 0 for key in pulls)
    if name in ("prolificdreamer", "magic123"):
        assert load_mesh(folders[-1] / "mesh.glb").visual.kind == "texture"


# -- the sources' numbers, written out from their code and configurations, not read from the recipes


def stages_of(name, weights, *more):
    recipe = load_recipe(f"recipes/{name}.yaml", load_plugins(), [*weights[name], "device=cpu", *more])
    return recipe, build_stages(recipe)


def parts_of(name, weights, *more):
    recipe = load_recipe(f"recipes/{name}.yaml", load_plugins(), [*weights[name], "device=cpu", *more])
    return recipe, build_parts(recipe)


def t_ranges(config, total, *indices):
    """First and last timestep that may be drawn."""
    found = [config.times.t_range(fresh_step(index, total), 1000) for index in indices]
    return [(first, after - 1) for first, after in found]


def test_prolificdreamers_numbers(weights):
    recipe, stages = stages_of("prolificdreamer", weights, *SMALL["prolificdreamer"][:4])
    own = [stage.options for stage in (recipe, *recipe.later)]
    assert [options.steps for options in own] == [25_000, 15_000, 30_000]
    field, geometry, texture = stages
    for stage, total in ((field, 25_000), (texture, 30_000)):
        (term,) = stage.guidances
        config = term.guidance.config
        assert (config.guidance_scale(fresh_step(0, total)), config.lr, config.critic) == (7.5, 1e-4, "lora")
        assert (config.rank, config.camera_dropped, config.updates, config.loss) == (4, 0.1, 1, "v")
        assert (config.betas, config.eps, config.weight_decay) == ([0.9, 0.99], 1e-15, 0.01)
        assert config.weighting == "one_minus_alphas_cumprod"
        assert t_ranges(config, total, 0, 4999, 5000) == [(20, 980), (20, 980), (20, 500)]
    (term,) = geometry.guidances
    assert term.guidance.config.guidance_scale(fresh_step(0, 10)) == 101
    assert term.guidance.needs == {"image", "normals"}
    assert t_ranges(term.guidance.config, 15_000, 0, 5000) == [(20, 980), (20, 500)]
    sizes = [field.cameras.sample(fresh_step(index, 25_000)).width for index in (0, 4999, 5000)]
    assert sizes == [64, 64, 512]
    terms = {term.label: term.weight for term in field.regularizers}
    assert [terms["opaque"].at(index, 25_000) for index in (0, 9999, 10_000)] == [0, 0, 1000]
    assert terms["sparsity"].extremes == (10, 10)
    assert {term.weight.extremes for term in geometry.regularizers} == {(10_000, 10_000)}
    assert not texture.regularizers
    words = field.denoisers["denoiser"].config
    assert (words.front_deg, words.back_deg) == (30, 30)
    rates = [
        own[2].optimizer.rate.at(0, 30_000) * group.get("lr_scale", 1.0)
        for group in texture.representation.param_groups()
    ]
    assert rates[0] * 30_000 < 1e-3, "the shape stays"
    assert rates[1] == pytest.approx(0.01)


def test_luciddreamers_numbers(weights):
    recipe, parts = parts_of("luciddreamer", weights, "representation.points=100", "representation.max_count=500")
    (term,) = parts.guidances
    config, total = term.guidance.config, recipe.options.steps
    assert (total, parts.cameras.views, parts.cameras.resolution) == (5000, 4, 512)
    assert term.weight.extremes == (0.4, 0.4), "0.1 of a sum over four views"
    assert config.guidance_scale(fresh_step(0, total)) == 7.5
    assert term.guidance.branches == ("cond", "null", "negative")
    assert t_ranges(config, total, 0, 750, 1500, 4999) == [(20, 980), (20, 740), (20, 500), (20, 500)]
    assert config.path(640, fresh_step(750, total), 1000)[-2:] == [565, 640], "75, half-way from 100 to 50"
    assert (config.hops, config.offset, config.weighting) == (5, 0.1, "sigma")
    cloud, rate = parts.representation, recipe.options.optimizer.rate.at(0, total)
    scales = {id(group["params"][0]): group["lr_scale"] for group in cloud.param_groups()}

    def rates(parameter):
        found = scales[id(parameter)]
        return [rate * (found.at(index, total) if hasattr(found, "at") else found) for index in (0, total)]

    final = 1.6e-4 * 3.5 * 0.01 ** (5000 / 30_000)
    assert rates(cloud.means) == pytest.approx([1.6e-4 * 3.5, final], rel=0.02)
    assert rates(cloud.sh_base) == pytest.approx([0.005, 0.003])
    assert rates(cloud.log_scales) == pytest.approx([0.005, 0.001])
    assert rates(cloud.quaternions) == pytest.approx([0.001, 0.0002])
    assert rates(cloud.opacity_logits) == pytest.approx([0.05, 0.05])
    assert cloud.growth.prune_scale_after == 300
    degrees = [math.degrees(radians) for radians in (0.32, 0.60)]
    assert parts.cameras.config.fov_deg == pytest.approx(degrees, abs=0.1)


def test_magic123s_numbers(weights):
    recipe, stages = stages_of("magic123", weights, *SMALL["magic123"][:4])
    assert [stage.options.steps for stage in (recipe, *recipe.later)] == [5000, 5000]
    for stage, views, words in zip(stages, (1, 0.01), (0.025, 0.001), strict=True):
        terms = {term.label: term for term in stage.guidances}
        assert (terms["views"].weight.extremes[0], terms["words"].weight.extremes[0]) == (views, words)
        scales = {label: term.guidance.config.guidance_scale(fresh_step(0, 10)) for label, term in terms.items()}
        assert scales == {"views": 5, "words": 100}
        assert all(t_ranges(term.guidance.config, 10, 0) == [(200, 600)] for term in terms.values())
        assert {label: term.guidance.teacher.denoiser.name for label, term in terms.items()} == {
            "views": "zero123",
            "words": "stable_diffusion",
        }
    assert 1 / 0.025 == 40


def test_vsds_numbers_over_zero123(weights):
    recipe, parts = parts_of("zero123-vsd", weights, *SMALL_GRID)
    (term,) = parts.guidances
    config, total = term.guidance.config, recipe.options.steps
    assert (total, config.loss, config.lr, term.guidance.adapts) == (10_000, "eps", 1e-4, True)
    assert (config.betas, config.eps, config.weight_decay) == ([0.9, 0.99], 1e-8, 0)
    assert config.guidance_scale(fresh_step(0, total)) == 5
    assert t_ranges(config, total, 0, 4999, 5000) == [(100, 900), (100, 900), (100, 500)]


def test_sirs_numbers_over_zero123(weights):
    recipe, parts = parts_of("zero123-sir", weights, "representation.resolution=16")
    (term,) = parts.guidances
    config, total = term.guidance.config, recipe.options.steps
    assert (total, config.every, total // config.every, parts.cameras.views) == (315, 15, 21, 6)
    assert (config.guidance_scale(fresh_step(0, total)), config.eta) == (3, 0.5)
    first, last = (config.ways(fresh_step(index, total), 1000, False)[1][0] for index in (15, 314))
    assert (first, last) == (851, 201)
    assert config.ways(fresh_step(0, total), 1000, True)[1][0] == 951
    (weight,) = (t.weight.extremes[0] for t in parts.regularizers if t.label == "input_view")
    assert weight == pytest.approx(0.3 * 3 * 128**2, abs=1), "of the sum over pixels and channels, as the targets"
    (mask,) = (t.regularizer.config.mask for t in parts.regularizers if t.label == "input_view")
    assert weight * mask == pytest.approx(0.01 * 128**2, rel=2e-3)
