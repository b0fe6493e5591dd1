"""The recipes of MVDream and ImageDream: their numbers through the built parts, and some steps with tiny weights."""

import json
import math

import pytest
import torch

from tests.plugins.mvdream_tiny import save_folder
from zero3d.cli import main
from zero3d.mesh_files import load_mesh
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import run
from zero3d.testing import fresh_step
from zero3d.values import View

FAMILIES = {"mvdream": 10_000, "imagedream": 12_500}
"""And their steps."""
SUBJECT = {
    "mvdream": ["prompt=a mug"],
    "imagedream": ["prompt=a mug", "image=examples/mug.png"],
}
NEGATIVE = (
    ", ugly, bad anatomy, blurry, pixelated obscure, unnatural colors, poor lighting, dull, and unclear, cropped, lowres, "
    "low quality, artifacts, duplicate, morbid, mutilated, poorly drawn face, deformed, dehydrated, bad proportions"
)
SMALL = [
    *("representation.levels=2", "representation.finest_resolution=24", "representation.table_log2=10"),
    *("representation.detail=16", "cameras.resolution=16", "cameras.views=4", "export.mesh.resolution=32"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return {family: save_folder(tmp_path_factory.mktemp(family) / "tiny", family) for family in FAMILIES}


@pytest.fixture(scope="module")
def built(weights):
    """Family -> (recipe, parts) as written, but for the network and the size of the views, which is not drawn."""
    made = {}
    for family, folder in weights.items():
        changes = [f"denoiser.weights={folder}", "device=cpu", "representation.table_log2=10", *SUBJECT[family]]
        recipe = load_recipe(f"recipes/{family}.yaml", load_plugins(), [*changes, "representation.detail=16"])
        made[family] = recipe, build_parts(recipe)
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_recipe_check_is_content_with_weights(family, weights, capsys):
    small = ["representation.detail=16", "device=cpu"]
    assert main(["recipe", "check", f"recipes/{family}.yaml", f"denoiser.weights={weights[family]}", *small]) == 0
    assert "good" in capsys.readouterr().out


@pytest.mark.parametrize("family", FAMILIES)
def test_without_weights_one_line_says_where_they_are(family, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    out = tmp_path / "run"
    command = ["run", f"recipes/{family}.yaml", *SUBJECT[family], f"out={out}", "device=cpu", "denoiser.offline=true"]
    assert main(command) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    for part in ("denoiser.weights", "ashawkey/", "https://"):
        assert part in line
    assert not out.exists()


class TestThePublishedNumbers:
    """Every expectation is written out from threestudio's and ImageDream's configurations, not read from the recipe."""

    @pytest.mark.parametrize(
        ("family", "index", "size", "views"),
        [
            *(("mvdream", 0, 64, 8), ("mvdream", 4999, 64, 8), ("mvdream", 5000, 256, 4), ("mvdream", 9999, 256, 4)),
            *(("imagedream", 0, 64, 8), ("imagedream", 4999, 64, 8), ("imagedream", 5000, 192, 4)),
            *(("imagedream", 9999, 192, 4), ("imagedream", 10_000, 256, 4)),
        ],
    )
    def test_sizes_and_views(self, built, family, index, size, views):
        recipe, parts = built[family]
        assert recipe.options.steps == FAMILIES[family]
        cameras = parts.cameras.sample(fresh_step(index, FAMILIES[family]))
        assert (cameras.height, cameras.width, len(cameras)) == (size, size, views)

    @pytest.mark.parametrize(
        ("family", "elevation", "fov", "half"),
        [("mvdream", (0, 30), (15, 60), (0.8, 1.0)), ("imagedream", (0, 5), (45, 50), (0.6, 0.75))],
    )
    def test_cameras(self, built, family, elevation, fov, half):
        drawn = [built[family][1].cameras.sample(fresh_step(0, FAMILIES[family], seed=seed)) for seed in range(300)]
        own = [cameras[4 * group : 4 * group + 4] for cameras in drawn for group in (0, 1)]
        width = torch.cat([c.distance * torch.tan(c.fovs / 2) for c in own])
        height, degrees = (torch.rad2deg(torch.cat(x)) for x in ([c.elevation for c in own], [c.fovs for c in own]))
        for values, (low, high) in ((width, half), (height, elevation), (degrees, fov)):
            slack = 0.02 * (high - low)
            assert low - 1e-3 <= values.min() < low + slack
            assert high - slack < values.max() <= high + 1e-3
        for cameras in own:
            assert torch.allclose(cameras.azimuth.diff() % (2 * math.pi), torch.full((3,), math.pi / 2), atol=1e-3)

    @pytest.mark.parametrize(("family", "scale", "rescale"), [("mvdream", 50, 0.5), ("imagedream", 5, 0.2)])
    def test_guidance(self, built, family, scale, rescale):
        (term,) = built[family][1].guidances
        options, total = term.guidance.config, FAMILIES[family]
        assert (term.weight.extremes, options.recon_rescale, options.weighting) == ((1.0, 1.0), rescale, "sigma")
        assert options.guidance_scale(fresh_step(0, total)) == scale
        for index, low, high in [(0, 980, 980), (4000, 500, 740), (8000, 20, 500), (total - 1, 20, 500)]:
            first, after = options.times.t_range(fresh_step(index, total), 1000)
            assert (first, after - 1) == (low, high), index

    @pytest.mark.parametrize("family", FAMILIES)
    def test_negative_words_stand_in_place_of_none(self, built, family):
        options = built[family][1].guidances[0].guidance.teacher.denoiser.config
        assert options.negative_suffix == NEGATIVE
        assert (options.negative_as_null, options.prompt_suffix) == (True, "")

    @pytest.mark.parametrize("family", FAMILIES)
    def test_rates(self, built, family):
        options = built[family][0].options.optimizer
        assert (options.type, options.rate.extremes, options.kept) == ("adamw", (0.001, 0.001), (0.9, 0.99))
        assert (options.eps, options.weight_decay) == (1e-15, 0.01)
        scales = {group.get("lr_scale", 1.0) for group in built[family][1].representation.param_groups()}
        assert {0.001 * scale for scale in scales} == {0.01, 0.001}

    @pytest.mark.parametrize("family", FAMILIES)
    def test_regularizers(self, built, family):
        terms = {t.label: t.weight.extremes for t in built[family][1].regularizers}
        assert terms == {"mvdream": {}, "imagedream": {"sparsity": (1.0, 1.0)}}[family]


def test_the_gradient_is_the_view_less_the_target_drawn_back(built):
    """G = x - (f r D_s + (1 - f) D_s), r = std(D_c) / std(D_s) over a group jointly, from a teacher of known answers."""
    (term,) = built["mvdream"][1].guidances
    generator = torch.Generator().manual_seed(0)
    cond, null = torch.randn(2, 8, 8, 8, 4, generator=generator)
    teacher = term.guidance.teacher
    true = teacher.denoiser
    teacher.denoiser = Known(true.sigmas, {"cond": cond, "null": null})
    try:
        image = torch.randn(8, 8, 8, 4, generator=generator)
        cameras = built["mvdream"][1].cameras.sample(fresh_step(0, 10_000))
        found = term.guidance.gradient(View(image, image[..., :1]), cameras, fresh_step(0, 10_000)).value
    finally:
        teacher.denoiser = true
    for group in (slice(0, 4), slice(4, 8)):
        mixed = null[group] + 50 * (cond[group] - null[group])
        target = mixed * (0.5 * cond[group].std() / mixed.std() + 0.5)
        assert torch.allclose(found[group], image[group] - target, rtol=1e-3, atol=1e-2)


class Known:
    """A joint teacher in its own space that answers what it is given."""

    channels, resolution, group, unit, centre = 4, 8, 4, 1.0, 0.0

    def __init__(self, sigmas, answers):
        self.sigmas, self.answers = sigmas, answers

    def predict(self, noised, sigma, condition, cameras, branches):
        return {branch: self.answers[branch] for branch in branches}


@pytest.mark.parametrize("family", FAMILIES)
def test_some_steps_with_tiny_weights(family, weights, tmp_path):
    out = tmp_path / "run"
    changes = [f"denoiser.weights={weights[family]}", "device=cpu", "steps=3", f"out={out}", *SUBJECT[family], *SMALL]
    observers = "observers={progress: {}}"
    session = run(f"recipes/{family}.yaml", load_plugins(), [*changes, observers], tell=lambda line: None)
    lines = [json.loads(line) for line in (session.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 3
    assert all(line["guidance.sds.gradient"] > 0 for line in lines)
    assert load_mesh(out / "mesh.glb").is_watertight
    manifest = (out / "manifest.json").read_text(encoding="utf-8")
    for part in ("unet", "vae", "text_encoder", *(["image_encoder"] if family == "imagedream" else [])):
        assert part in manifest


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("cameras.group=1", "denoises 4 views jointly, but 'sphere' draws 4 views in groups of 1"),
        ("cameras={type: zero123, views: 4}", "denoises 4 views jointly, but 'zero123' draws 4 views in groups of 1"),
        ("prompt=null", "needs a prompt, and the recipe gives none"),
    ],
)
def test_views_that_are_no_group_or_no_words_are_refused_before_loading(change, line, weights, tmp_path, capsys):
    out = tmp_path / "run"
    family = "imagedream"
    command = [f"denoiser.weights={weights[family]}", "device=cpu", *SUBJECT[family], *SMALL, f"out={out}", change]
    assert main(["run", f"recipes/{family}.yaml", *command]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert line in said
    assert not out.exists()
