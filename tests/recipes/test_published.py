"""The recipes of the published model: their numbers through the built parts, and some steps with tiny weights."""

import json
import math

import numpy
import pytest
import torch

from tests.plugins.zero123_tiny import save_folder
from zero3d.cli import main
from zero3d.engine import Engine, input_camera_at
from zero3d.errors import ExportError
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.run import open_session, run
from zero3d.schedule import Schedule
from zero3d.testing import fresh_step
from zero3d.values import LossContext, Picture, Subject, View

PAPER, FAST, STABLE, NGP = (
    f"recipes/{name}.yaml" for name in ("zero123-sjc", "zero123", "stable-zero123", "zero123-ngp")
)
TOTAL = 10_000
SMALL = {
    PAPER: ["representation.resolution=16", "export.mesh.resolution=32"],
    FAST: ["representation.resolution=16", "cameras.resolution=16", "cameras.views=2", "export.mesh.resolution=32"],
    STABLE: ["representation.resolution=16", "cameras.resolution=16", "cameras.views=2", "export.mesh.resolution=32"],
    NGP: [
        *("representation.levels=2", "representation.finest_resolution=24", "representation.table_log2=10"),
        *("representation.detail=16", "cameras.resolution=16", "cameras.views=2", "export.mesh.resolution=32"),
    ],
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_folder(tmp_path_factory.mktemp("zero123") / "tiny")


@pytest.fixture(scope="module")
def paper(weights):
    """(recipe, parts) at full size, but for the network."""
    recipe = load_recipe(PAPER, load_plugins(), [f"denoiser.weights={weights}", "device=cpu"])
    parts = build_parts(recipe)
    parts.load()
    with torch.no_grad():
        parts.representation.initialise(fresh_step(0, TOTAL))
    return recipe, parts


@pytest.mark.parametrize(
    ("recipe", "name"), [(PAPER, "105000.ckpt"), (FAST, "bennyguo/"), (NGP, "bennyguo/"), (STABLE, "stable_zero123")]
)
def test_without_weights_one_line_says_where_they_are(recipe, name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    out = tmp_path / "run"
    code = main(["run", recipe, "image=examples/mug.png", f"out={out}", "device=cpu", "denoiser.offline=true"])
    line = capsys.readouterr().err
    assert code == 2
    assert line.count("\n") == 1
    for part in ("denoiser.weights", name, "https://", "GB"):
        assert part in line
    assert not out.exists()


@pytest.mark.parametrize("recipe", [PAPER, FAST, STABLE, NGP])
def test_recipe_check_is_content_with_weights(recipe, weights, capsys):
    assert main(["recipe", "check", recipe, f"denoiser.weights={weights}", "device=cpu"]) == 0
    assert "good" in capsys.readouterr().out


class TestThePapersNumbers:
    """Every expectation is written out from 3drec/run_zero123.py and the paper, not read from the recipe."""

    def test_steps_and_input(self, paper):
        options = paper[0].options
        assert (options.steps, options.seed, options.input.framing) == (TOTAL, 0, "keep")

    def test_one_adamax_at_005_over_density_latents_and_scale(self, paper):
        recipe, parts = paper
        picture = Picture(torch.ones(32, 32, 3), torch.ones(32, 32, 1))
        engine = Engine(parts, Subject.of(picture, input_camera_at(20.0)), recipe.options.optimizer, TOTAL, 0)
        optimizer = engine.optimizer.torch
        assert isinstance(optimizer, torch.optim.Adamax)
        assert float(engine.input_camera.distance) == pytest.approx(2.0)
        assert float(engine.input_camera.azimuth) == pytest.approx(0.0)
        names = {id(p): name for name, p in parts.representation.named_parameters() if p.requires_grad}
        assert set(names.values()) == {"raw_density", "raw_features", "log_scale"}
        for index in (0, 5000, 9999):
            engine.optimizer.step(engine.at(index))
            rates = {names[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
            assert rates == dict.fromkeys(names.values(), 0.05)
        assert {tuple(group["betas"]) for group in optimizer.param_groups} == {(0.9, 0.999)}
        assert {group["eps"] for group in optimizer.param_groups} == {1e-8}
        assert {group["weight_decay"] for group in optimizer.param_groups} == {0}

    def test_the_noise_levels_are_us_30_to_minus_10(self, paper):
        (term,) = paper[1].guidances
        betas = numpy.linspace(0.00085**0.5, 0.0120**0.5, 1000) ** 2
        alpha_bar = numpy.cumprod(1 - betas)
        us = numpy.sqrt((1 - alpha_bar) / alpha_bar)[::-1][30:-10]
        view = View(torch.zeros(400, 2, 2, 4), torch.zeros(400, 2, 2, 1))
        term.guidance.teacher.denoiser, denoiser = (
            Recorder(term.guidance.teacher.denoiser.sigmas),
            (term.guidance.teacher.denoiser),
        )
        recorder = term.guidance.teacher.denoiser
        try:
            for index in range(25):
                term.guidance.gradient(view, orbit(0.0, torch.zeros(400), 2), fresh_step(index, TOTAL, seed=index))
        finally:
            term.guidance.teacher.denoiser = denoiser
        asked = torch.cat(recorder.asked).double().numpy()
        assert abs(asked[:, None] - us[None]).min(axis=1).max() < 1e-4, "levels of the list alone"
        assert abs(us - asked.min()).argmin() == len(us) - 1
        assert abs(us - asked.max()).argmin() == 0
        places = abs(us[None] - asked[:, None]).argmin(axis=1)
        counts = numpy.bincount(places * 8 // len(us), minlength=8)
        assert abs(counts - len(asked) / 8).max() < 5 * math.sqrt(len(asked) / 8), "uniform over the list"
        assert recorder.scales == {100.0}

    def test_the_gradient_is_eps_hat_minus_noise_with_weight_one(self, paper):
        """With var_red, -grad = (y - D) / sigma = eps_cfg - n."""
        (term,) = paper[1].guidances
        assert (term.weight.extremes, term.own) == ((1.0, 1.0), False)
        teacher = term.guidance.teacher
        true = teacher.denoiser
        teacher.denoiser = Recorder(true.sigmas)
        try:
            image = torch.randn(1, 2, 2, 4, generator=torch.Generator().manual_seed(0))
            view = View(image, torch.zeros(1, 2, 2, 1))
            value = term.guidance.gradient(view, orbit(0.0, 0.0, 2), fresh_step(3, TOTAL)).value
            sigma, noised = teacher.denoiser.asked[0], teacher.denoiser.noised[0]
        finally:
            teacher.denoiser = true
        noise = (noised - image) / sigma
        torch.testing.assert_close(value, Recorder.EPS - noise, rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(("index", "novel_smoothness"), [(0, 0.0), (4999, 0.0), (5000, 10_000.0), (9999, 10_000.0)])
    def test_weights_over_the_run(self, paper, index, novel_smoothness):
        step = fresh_step(index, TOTAL)
        weights = {(t.regularizer.name, t.view): t.weight(step) for t in paper[1].regularizers}
        assert weights == {
            ("input_view", "input"): 40_000.0,
            ("near_view_consistency", "novel"): 10_000.0,
            ("depth_smoothness", "novel"): novel_smoothness,
            ("depth_smoothness", "input"): 1_000.0,
        }

    def test_the_picture_loss_is_ten_thousand_times_the_squared_error_in_minus_one_to_one(self, paper):
        (term,) = (t for t in paper[1].regularizers if t.regularizer.name == "input_view")
        generator = torch.Generator().manual_seed(0)
        latent, wanted = torch.rand(1, 32, 32, 4, generator=generator), torch.rand(256, 256, 3, generator=generator)
        opacity, mask = torch.rand(1, 32, 32, 1, generator=generator), torch.rand(256, 256, 1, generator=generator)
        decoded = torch.rand(1, 256, 256, 3, generator=generator)
        view = View(latent, opacity)
        step = fresh_step(0, TOTAL)
        camera = orbit(0.0, 0.0, 32)
        subject = Subject.of(Picture(wanted, mask), camera)
        context = LossContext(step, view, camera, {"input": view}, subject, None, lambda image: decoded)
        found = float(term.weight(step) * term.regularizer.penalty(context))
        expected = 10_000 * numpy.mean(((2 * decoded[0].numpy() - 1) - (2 * wanted.numpy() - 1)) ** 2)
        assert found == pytest.approx(float(expected), rel=1e-5), "of the whole picture, and no mask"

    def test_cameras_are_the_rejection_sampler(self, paper):
        sampler = paper[1].cameras
        assert (sampler.resolution, sampler.views) == (32, 1)
        eyes, near = [], []
        for index in range(1500):
            step = fresh_step(index, TOTAL, seed=index)
            camera = sampler.sample(step)
            assert (camera.height, camera.width) == (32, 32)
            assert math.degrees(camera.fov) == pytest.approx(49.1, abs=0.05)
            eyes.append(camera.position[0].numpy())
            near.append((sampler.near(camera, step).position - camera.position).norm())
        assert torch.stack(near).numpy() == pytest.approx(0.05, abs=1e-5)
        eyes, expected = numpy.stack(eyes), self.published_eyes(20_000)
        for name, measure in {
            "distance": lambda p: numpy.linalg.norm(p, axis=1),
            "height": lambda p: p[:, 2],
            "azimuth": lambda p: numpy.arctan2(p[:, 1], p[:, 0]),
            "along x": lambda p: abs(p[:, 0]) / numpy.linalg.norm(p, axis=1),
        }.items():
            ours, theirs = numpy.sort(measure(eyes)), numpy.sort(measure(expected))
            both = numpy.concatenate([ours, theirs])
            apart = numpy.searchsorted(ours, both) / len(ours) - numpy.searchsorted(theirs, both) / len(theirs)
            limit = 1.95 * math.sqrt(1 / len(ours) + 1 / len(theirs))
            assert abs(apart).max() < limit, f"{name}: Kolmogorov and Smirnov tell them apart (chance 0.001)"

    @staticmethod
    def published_eyes(count):
        """By the description: uniform in a cube, normalised, radius U(1.8, 2.2), kept if -0.5 < z < 2.2."""
        random = numpy.random.default_rng(0)
        eyes = random.uniform(-1, 1, (2 * count, 3))
        eyes *= random.uniform(1.8, 2.2, (2 * count, 1)) / numpy.linalg.norm(eyes, axis=1, keepdims=True)
        kept = eyes[(eyes[:, 2] > -0.5) & (eyes[:, 2] < 2.2)]
        assert 0.55 < len(kept) / len(eyes) < 0.65
        return kept[:count]

    def test_the_field_starts_as_fog_of_standard_normal_latents(self, paper):
        field = paper[1].representation
        assert field.raw_density.shape == (1, 1, 100, 100, 100)
        assert field.raw_features.shape == (1, 4, 100, 100, 100)
        assert field.box.tolist() == [[-1, -1, -1], [1, 1, 1]]
        points = 1.9 * torch.rand(500, 3, generator=torch.Generator().manual_seed(0)) - 0.95
        with torch.no_grad():
            density, centres = (
                field.density(points),
                field.features((torch.arange(90)[:, None] + 5.5) * 0.02 - 1 + torch.zeros(3)),
            )
        torch.testing.assert_close(density, torch.full((500,), math.log(1 + math.exp(-1))))
        assert float(field.raw_features.detach().mean()) == pytest.approx(0, abs=5e-3)
        assert float(field.raw_features.detach().std()) == pytest.approx(1, abs=5e-3)
        raw = torch.stack([field.raw_features[0, :, k, k, k] for k in range(5, 95)]).detach()
        torch.testing.assert_close(centres, raw, atol=1e-3, rtol=1e-3)  # as they are: no sigmoid

    def test_rays_step_by_half_a_voxel_to_a_white_latent_ten_away(self, paper):
        parts = paper[1]
        with torch.no_grad():
            view = parts.renderer.render(
                parts.representation, orbit(0.0, 0.0, 33), parts.white, frozenset({"depth", "weights"})
            )
        middle = view.opacity[0, 16, 16, 0]
        assert float(middle) == pytest.approx(1 - math.exp(-2 * math.log(1 + math.exp(-1))), abs=1e-3)
        weights = view.weights[0, 16, 16]
        assert int((weights > 0).sum()) in (200, 201), "2 units in steps of 0.01"
        places = 1 + 0.01 * torch.arange(len(weights))
        expected = (weights * places).sum() + (1 - middle) * 10
        assert float(view.depth[0, 16, 16, 0]) == pytest.approx(float(expected), rel=1e-4)

    def test_the_background_is_the_scaled_latent_of_white(self, paper, weights):
        from diffusers import AutoencoderKL

        vae = AutoencoderKL.from_pretrained(weights / "vae")
        background = paper[1].white
        assert background.shape == (32, 32, 4)
        white = torch.ones(1, 256, 256, 3).permute(0, 3, 1, 2)
        with torch.no_grad():
            layouts = [vae.encode(x).latent_dist.mean[0].permute(1, 2, 0) for x in (white, white.contiguous())]
        # PyTorch's GroupNorm on CPUs gives a flat picture another variance by its layout in memory: either will do
        assert min(float((background - 0.18215 * latent).abs().max()) for latent in layouts) < 1e-5

    def test_the_mesh_is_cut_by_the_codes_rule(self, paper):
        config = paper[1].exporters["mesh"].config
        assert (config.resolution, config.threshold, config.paper_multiple) == (200, "paper", 8.0)
        assert (config.smallest_share, config.smoothing) == (0.0, 0)


class Recorder:
    """A denoiser that always predicts the same noise, and keeps what it was asked."""

    EPS = 0.25
    channels, resolution, picture_resolution, group = 4, 2, 256, 1

    def __init__(self, sigmas):
        self.sigmas, self.asked, self.noised, self.scales = sigmas, [], [], set()

    def predict(self, noised, sigma, condition, cameras, branches):
        return dict.fromkeys(branches, noised - sigma[:, None, None, None] * self.EPS)

    def denoise(self, noised, sigma, condition, cameras, guidance_scale):
        self.asked.append(sigma)
        self.noised.append(noised)
        self.scales.add(guidance_scale)
        return noised - sigma[:, None, None, None] * self.EPS


@pytest.mark.parametrize(
    ("recipe", "steps", "low", "high", "picture", "mask", "empty"),
    [
        (FAST, (0, 100, 200, 599), (0.4, 0.3, 0.2, 0.2), (0.85, 0.675, 0.5, 0.5), (500.0,) * 4, 50.0, 0.1),
        (STABLE, (0, 50, 125, 599), (0.7, 0.7, 0.5, 0.3), (0.98, 0.98, 0.89, 0.8), (500, 500, 541.7, 1000), 50.0, 0.5),
    ],
)
def test_the_fast_recipes_have_threestudios_numbers(recipe, steps, low, high, picture, mask, empty, weights):
    loaded = load_recipe(recipe, load_plugins(), [f"denoiser.weights={weights}", "device=cpu", *SMALL[recipe]])
    parts = build_parts(loaded)
    optimizer = loaded.options.optimizer
    assert (loaded.options.steps, optimizer.type, optimizer.lr, list(optimizer.kept)) == (
        600,
        "adam",
        0.01,
        [0.9, 0.99],
    )
    (guide,) = parts.guidances
    config = guide.guidance.config
    assert (guide.guidance.name, guide.weight.extremes, config.weighting) == (
        "sds",
        (0.1, 0.1),
        "one_minus_alphas_cumprod",
    )
    at = [fresh_step(index, 600) for index in steps]
    assert [config.guidance_scale(step) for step in at] == [3.0] * 4
    assert [Schedule.parse(config.min_t)(step) for step in at] == pytest.approx(low, abs=1e-3)
    assert [Schedule.parse(config.max_t)(step) for step in at] == pytest.approx(high, abs=1e-3)
    terms = [t for t in parts.regularizers if t.regularizer.name == "input_view"]
    for index, step in enumerate(at):
        assert sum(t.weight(step) * t.regularizer.config.rgb for t in terms) == pytest.approx(picture[index], abs=0.1)
        assert sum(t.weight(step) * t.regularizer.config.mask for t in terms) == pytest.approx(mask)
    rest = {t.regularizer.name: t.weight(at[0]) for t in parts.regularizers}
    assert rest["sparsity"] == rest["opaque"] == empty
    distances = parts.cameras.config.distance
    assert distances == ([1.5, 2.2] if recipe == FAST else [2.0, 2.0])
    assert parts.denoisers["denoiser"].knows_elevation == (recipe == STABLE)


def test_the_hash_grid_is_threestudios(weights):
    """Its implicit-volume: per_level_scale 1.447269237440378 to 4096, Magic3D's ball, 64 units, one hidden layer."""
    recipe = load_recipe(NGP, load_plugins(), [f"denoiser.weights={weights}", "device=cpu"])
    with torch.device("meta"):
        field = recipe.representation.build()
    options = field.encoding._options
    assert options["per_level_scale"] == pytest.approx(1.447269237440378, rel=1e-6)
    assert (options["n_levels"], options["base_resolution"], options["log2_hashmap_size"]) == (16, 16, 19)
    assert (field.config.blob, field.config.blob_scale, field.config.blob_radius) == ("cone", 10.0, 0.5)
    assert field.config.density_activation == "softplus"
    shapes = [tuple(p.shape) for p in (*field.density_network.parameters(), *field.feature_network.parameters())]
    assert shapes == [(64, 32), (1, 64), (64, 32), (3, 64)]


@pytest.mark.parametrize("recipe", [PAPER, FAST, STABLE, NGP])
def test_some_steps_with_tiny_weights(recipe, weights, tmp_path):
    out = tmp_path / "run"
    overrides = [
        "image=examples/mug.png",
        f"out={out}",
        "device=cpu",
        "steps=2",
        "input.elevation_deg=20",
        f"denoiser.weights={weights}",
        "observers={}",
        *SMALL[recipe],
    ]
    try:
        run(recipe, load_plugins(), overrides, tell=lambda line: None)
        told = ""
    except ExportError as error:
        told = str(error)
    if told:
        assert "export.mesh: no surface: " in told
        assert "density runs from" in told
    else:
        assert load_mesh(out / "mesh.glb").is_watertight
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 2
    assert all(math.isfinite(value) for line in lines for value in line.values())
    guidance = "guidance.sjc" if recipe == PAPER else "guidance.sds"
    assert all(line[f"{guidance}.gradient"] > 0 for line in lines)
    if recipe == PAPER:
        smooth = "regularizers.depth_smoothness.weight"
        assert smooth not in lines[0]
        assert lines[1][smooth] == 10_000, "from half-way"
        assert lines[0]["regularizers.depth_smoothness_input.weight"] == 1_000
        assert lines[0]["regularizers.input_view.gradient"] > 0, "through the decoder"
        latent_mesh_is_coloured_by_the_decoder(out)


def latent_mesh_is_coloured_by_the_decoder(out):
    """Put a ball into the run's latent field: the mesh's colours are what the VAE makes of views of it."""
    session = open_session(out, load_plugins(), tell=lambda line: None)
    field = session.parts.representation
    axis = (torch.arange(16) + 0.5) / 8 - 1
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    with torch.no_grad():
        field.raw_density.copy_(500.0 * (x**2 + y**2 + z**2 < 0.3**2))
        field.raw_features.copy_(torch.stack([x, y, z, x]) * 3)
    exporter = session.parts.exporters["mesh"]
    report = exporter.export(session.subject(), out / "mesh.glb")
    assert report["watertight"]
    mesh = load_mesh(out / "mesh.glb")
    found = mesh.visual.vertex_colors[:, :3] / 255
    view = session.subject().draw(session.engine.input_camera)
    with torch.no_grad():
        decoded = session.subject().decode(view.image)[0].clamp(0, 1)
    assert decoded.shape == (256, 256, 3)
    front = found[mesh.vertices[:, 0].argmax()]
    assert found.std(axis=0).max() > 0.01, "not one colour"
    assert abs(front - decoded[128, 128].numpy()).max() < 0.35
