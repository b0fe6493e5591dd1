"""`point_e`: from a picture to a run's folder on tiny weights, what other representations begin from, what is told."""

import json
import shutil

import numpy
import pytest
import torch
import trimesh

from tests.plugins.point_e_tiny import GOLDEN, QUICK, make, save_weights
from zero3d import cli
from zero3d.errors import RecipeError
from zero3d.geometry import gltf_to_world, orbit, rays
from zero3d.interfaces import PointCloud, RadianceField, SurfaceRepresentation
from zero3d.mesh_files import load_mesh
from zero3d.parts import build_parts
from zero3d.plugins import load_plugins
from zero3d.recipe import load_recipe
from zero3d.testing.samples import fresh_step, random_picture
from zero3d.values import Picture, PosedPicture, Prompt, Subject
from zero3d_point_e.reconstructor import PointE
from zero3d_point_e.shape.align import silhouette_azimuth
from zero3d_point_e.shape.result import Cloud, turn_about_z
from zero3d_point_e.weights.clip import Clip, clip_pixels


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def subject():
    return Subject.of(random_picture(256), orbit(20.0, 0.0, 256))


@pytest.fixture(scope="module")
def solid(weights, subject):
    return make(weights).reconstruct(subject, fresh_step())


def given(options, **more):
    return [f"start.{name}={value}" for name, value in {**options, **QUICK, **more}.items()]


def test_clip_is_shown_what_the_original_shows_it(weights):
    rgb = GOLDEN["image_u8"].float() / 255
    torch.testing.assert_close(clip_pixels(rgb)[0, :, ::8, ::8], GOLDEN["clip_pixels_8th"], rtol=0, atol=1e-6)
    clip = Clip(weights["clip"], "vision")
    clip.load(torch.device("cpu"), torch.float32)
    torch.testing.assert_close(clip.grid(rgb), GOLDEN["clip_grid"], rtol=0, atol=1e-5)
    torch.testing.assert_close(clip.picture_vector(rgb), GOLDEN["clip_embedding_unit"], rtol=0, atol=1e-5)


def test_the_result_is_a_cloud_a_mesh_and_a_field(solid):
    assert isinstance(solid, PointCloud)
    assert isinstance(solid, SurfaceRepresentation)
    assert isinstance(solid, RadianceField)
    places, colours = solid.points()
    assert places.shape == colours.shape == (192, 3)
    vertices, faces, features = solid.surface()
    assert features.shape == vertices.shape
    # the surface is where the field has its surface's density, whatever the turn
    middle = vertices[faces].mean(dim=1)
    inner = solid.density(middle) / solid.surface_density
    assert float((inner - 1).abs().median()) < 0.3
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    assert mesh.volume > 0
    out = solid.density(torch.tensor([[0.7, 0.0, 0.0], [0.0, 0.0, -0.52]]))
    assert not out.any()


def test_the_field_is_solid_inside_its_mesh(solid):
    """Against ray parity of the mesh, at random points."""
    generator = torch.Generator().manual_seed(0)
    points = (torch.rand(400, 3, generator=generator) - 0.5) * 0.9
    vertices, faces, _ = solid.surface()
    corners = vertices[faces].double()
    direction = torch.tensor([0.31, 0.52, 0.79], dtype=torch.float64)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    h = torch.linalg.cross(direction.expand_as(b), b)
    det = (a * h).sum(-1)
    to = points.double()[:, None] - corners[None, :, 0]
    u = (to * h).sum(-1) / det
    q = torch.linalg.cross(to, a.expand_as(to))
    v, t = (q @ direction) / det, (q * b).sum(-1) / det
    crossed = ((u >= 0) & (v >= 0) & (u + v <= 1)).double()
    # outwards minus inwards: open sheets end at the cube's side, so count the sign of the first hit
    t = torch.where((crossed > 0) & (t > 0), t, torch.inf)
    nearest, which = t.min(dim=1)
    hit = nearest.isfinite()
    leaving = (det[which] < 0)[hit]
    density = solid.density(points)[hit]
    clear = (density == 0) | (density >= 2 * solid.surface_density * 0.999)
    assert clear.sum() > 30
    assert bool(((density > 0) == leaving)[clear].float().mean() > 0.97)


@pytest.mark.parametrize("more", [{"model": "base40M-imagevec"}, {"upsample_steps": 0}, {"guidance_scale": 1.0}])
def test_other_models_and_stages(weights, subject, more):
    config = weights["config"].replace("grid", "vector") if "model" in more else weights["config"]
    made = make(weights, resolution=0, **{"config": config, **more}).reconstruct(subject, fresh_step())
    assert type(made) is Cloud
    assert len(made.points()[0]) == (64 if "upsample_steps" in more else 192)


def test_from_words(weights):
    made = make(weights, model="base40M-textvec", config=weights["config"].replace("grid", "vector"), resolution=0)
    assert made.needs == {"prompt"}
    clouds = [made.reconstruct(Subject((), Prompt(text)), fresh_step()) for text in ("a mug", "a mug", "a red car")]
    first, again, other = (cloud.points()[0] for cloud in clouds)
    assert first.equal(again)
    assert not first.equal(other)


def test_half_precision_is_near(weights, subject):
    """The coarse cloud of one call at t 0, where the networks' rounding is all there is."""
    full, half = (make(weights, resolution=0, upsample_steps=0, dtype=kind) for kind in ("float32", "bfloat16"))
    x = GOLDEN["x_t"][:1]
    outs = []
    for made in (full, half):
        net, features = made._networks["base"], made._features(subject)
        outs.append(net(x, torch.tensor([0]), net.condition_tokens(features)))
    assert outs[1].dtype == torch.float32
    assert float((outs[0] - outs[1]).abs().max()) < 0.1 * float(outs[0].std())


def test_a_cloud_is_kept_and_read_again(weights, subject, solid, tmp_path):
    npz, ply = tmp_path / "cloud.npz", tmp_path / "cloud.ply"
    for path in (npz, ply):
        assert make(weights, save_cloud=str(path)).reconstruct(subject, fresh_step()).places.equal(solid.places)
    again = make({"weights": weights["weights"], "config": weights["config"]}, cloud=str(npz), clip="nowhere")
    found = again.reconstruct(subject, fresh_step())
    for name, value in solid.state_dict().items():
        assert found.state_dict()[name].equal(value), name
    with numpy.load(npz) as file:
        assert set(file) == {"coords", "R", "G", "B"}
    written = trimesh.load(ply)
    torch.testing.assert_close(gltf_to_world(torch.from_numpy(numpy.array(written.vertices)).float()), solid.places)


def test_frontal_clouds_face_the_camera(weights, subject, tmp_path):
    """A point in front of a cloud (-y, up z) ends in front of the picture's camera, at whatever azimuth that stands."""
    numpy.savez(tmp_path / "c.npz", coords=[[0.0, -0.5, 0.1]], **{c: numpy.ones(1) for c in "RGB"})
    camera = orbit(0.0, 30.0, 256)
    made = make(weights, cloud=str(tmp_path / "c.npz"), resolution=0)
    place = made.reconstruct(Subject.of(subject.pictures[0].picture, camera), fresh_step()).places
    expected = torch.tensor([[0.5 * 3**0.5 / 2, 0.25, 0.1]])
    torch.testing.assert_close(place, expected)
    other = make(weights, cloud=str(tmp_path / "c.npz"), resolution=0, azimuth_deg=0.0).reconstruct(
        subject, fresh_step()
    )
    torch.testing.assert_close(other.places, torch.tensor([[0.0, -0.5, 0.1]]))


def winged():
    """A cloud without symmetry: a box with a wing and a horn."""
    generator = torch.Generator().manual_seed(1)
    unit = torch.rand(3, 1500, 3, generator=generator) - 0.5
    sizes = torch.tensor([[0.3, 0.5, 0.4], [0.6, 0.08, 0.1], [0.1, 0.1, 0.5]])
    centres = torch.tensor([[0.0, 0.0, 0.0], [0.35, 0.1, 0.1], [-0.1, 0.2, 0.25]])
    return (unit * sizes[:, None] + centres[:, None]).reshape(-1, 3)


@pytest.mark.parametrize("truth", [37.0, 310.0])
def test_silhouettes_find_the_azimuth(truth):
    """The mask is drawn otherwise: pixels whose ray passes near a point, from a nearer, unknown distance."""
    cloud = winged()
    seen = orbit(20.0, 0.0, 96, distance=1.6)
    origins, directions = (part[0].reshape(-1, 3) for part in rays(seen))
    turned = cloud @ turn_about_z(-truth, cloud).T - origins[0]
    near = torch.linalg.cross(directions[:, None], turned[None, ::3]).norm(dim=-1).amin(dim=1) < 0.025
    mask = near.reshape(96, 96, 1).float()
    posed = PosedPicture("front", Picture(1 - mask.expand(-1, -1, 3), mask), orbit(20.0, 0.0, 96))
    found, overlap = silhouette_azimuth(cloud, posed)
    assert abs((found - truth + 180) % 360 - 180) <= 6
    assert overlap > 0.8


def test_gaussians_begin_at_the_points(solid):
    from zero3d_gaussians.cloud.gaussians import GaussianCloud, GaussiansConfig

    cloud = GaussianCloud(GaussiansConfig())
    assert cloud.can_follow(solid)
    with torch.no_grad():
        cloud.initialise(fresh_step())
        cloud.follow(solid)
    assert cloud.means.equal(solid.points()[0])
    torch.testing.assert_close(cloud.shown(cloud.sh_base[:, 0]).detach(), solid.points()[1])
    distances = (
        torch.cdist(cloud.means, cloud.means).sort(dim=1).values[:, 1:4].square().mean(dim=1).clamp(min=1e-7).sqrt()
    )
    torch.testing.assert_close(cloud.log_scales.exp()[:, 0].detach(), distances.detach(), rtol=1e-2, atol=1e-4)
    latent = GaussianCloud(GaussiansConfig(channels=4))
    assert not latent.can_follow(solid)


def test_reconstruct_makes_a_run(weights, tmp_path, capsys):
    out = tmp_path / "run"
    arguments = ["reconstruct", "point_e", "image=examples/mug.png", f"out={out}", *given(weights), "observers=null"]
    assert cli.main([*arguments, f"start.save_cloud={tmp_path / 'cloud.npz'}", "start.align=silhouette"]) == 0
    assert "outline is the picture's from azimuth" in capsys.readouterr().err
    mesh = load_mesh(out / "mesh.glb")
    assert 0.5 < mesh.extents.max() < 1.5
    assert mesh.visual.vertex_colors.std() > 0
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["weights"]["start"]) == 4
    start = manifest["start"]
    assert (start["type"], start["alignment"]) == ("point_e", "silhouette")
    assert 0 <= start["azimuth_deg"] < 360
    assert 0 <= start["overlap"] <= 1
    assert start["seconds"] > 0
    assert (tmp_path / "cloud.npz").is_file()


@pytest.mark.parametrize(
    "representation",
    [
        "{type: gaussians}",
        "{type: voxels, resolution: 12}",
        "{type: mesh, start: previous}",
        "{type: sdf, resolution: 16}",
    ],
)
def test_a_distillation_begins_from_it(weights, tmp_path, representation):
    out = tmp_path / "run"
    draws = "rasterizer" if "mesh" in representation else "volume"
    arguments = ["run", "recipes/nano.yaml", "image=examples/mug.png", f"out={out}", "start={type: point_e}"]
    arguments += [*given(weights), f"representation={representation}", f"renderer={{type: {draws}}}", "export=null"]
    arguments += ["observers=null", "steps=1", "cameras={type: sphere, resolution: 8, views: 1}", "regularizers=null"]
    arguments += ["guidance={sds: {type: sds}}", "optimizer.lr=0.0001"]
    assert cli.main(arguments) == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"weights": ""},
            r"start.weights: missing; give the folder that holds base_40m.pt, upsample_40m.pt, sdf.pt; ",
        ),
        ({"weights": "nowhere/x"}, r"neither a folder nor in the hub's cache, and nothing is fetched"),
        ({"weights": "clip"}, r"no base_40m.pt in it; get it from https://openaipublic.*0\.2 GB, MIT"),
        ({"clip": "nowhere/vit"}, r"start.clip: .*hf download openai/clip-vit-large-patch14"),
        ({"clip": ""}, r"start.clip: missing"),
        ({"cloud": "nowhere.npz"}, r"start.cloud: nowhere.npz: no cloud of Point-E's"),
        ({"save_cloud": "nowhere/cloud.npz"}, r"start.save_cloud: .*: no such folder"),
        ({"config": ""}, r"base40M's .*; it is another network, or of another size \(start.config\)"),
    ],
)
def test_what_is_wrong_is_one_line(weights, change, told):
    if change.get("weights") == "clip":
        change = {"weights": weights["clip"]}
    with pytest.raises(RecipeError, match=told) as error:
        PointE(PointE.Config(**{**weights, **change}))
    assert len(str(error.value).splitlines()) == 1


def test_a_wrong_model_is_named(tmp_path):
    """The published upsampler under the base model's name; zeros that take no room."""
    from tests.plugins.point_e_tiny import PUBLISHED

    zero = torch.zeros(1)
    shapes = PUBLISHED["upsample"]["shapes"]
    torch.save({n: zero.expand(*shape) if shape else zero[0] for n, shape in shapes.items()}, tmp_path / "base_40m.pt")
    with pytest.raises(RecipeError, match=r"this is upsample \(upsample_40m.pt\), base40M was asked; give base_40m.pt"):
        PointE(PointE.Config(weights=str(tmp_path)))
    lines = list(PointE.inspect_weights(tmp_path / "base_40m.pt"))
    assert "Point-E's upsample, 40,470,552 parameters" in lines[0]


def test_hub_ids_are_looked_up_in_the_cache(weights, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, folder in (("me--clip", weights["clip"]), ("me--points", weights["weights"])):
        shutil.copytree(folder, tmp_path / f"models--{name}" / "snapshots" / "abc")
    made = PointE(PointE.Config(weights="me/points", clip="me/clip", config=weights["config"]))
    assert all(path.is_file() and tmp_path in path.parents for path in made.weight_files())


@pytest.mark.parametrize(
    "options",
    [
        {"model": "base2B"},
        {"model": "base40M-uncond"},
        {"steps": 1},
        {"upsample_steps": 1},
        {"resolution": 4},
        {"guidance_scale": -1.0},
        {"upsample_guidance_scale": "much"},
        {"azimuth_deg": 400.0},
        {"align": "magic"},
        {"align": "silhouette", "model": "base40M-textvec"},
        {"dtype": "int8"},
        {"cloud": "a.ply"},
        {"save_cloud": "a.obj"},
    ],
)
def test_options_out_of_range(options):
    (first, *_) = options
    with pytest.raises(ValueError, match=rf"^{first}: .*; "):
        PointE.Config(**options)


def test_published_weights_are_listed(capsys):
    assert cli.main(["weights", "list", "point_e"]) == 0
    said = capsys.readouterr().out
    for file in ("base_40m.pt", "base_1b.pt", "upsample_40m.pt", "sdf.pt", "openai/clip-vit-large-patch14"):
        assert file in said


def test_it_is_registered():
    assert load_plugins().get("reconstructor", "point_e", "here") is PointE


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    from tests.plugins.sd_tiny import save_stable_diffusion

    return save_stable_diffusion(tmp_path_factory.mktemp("sd") / "sd")


def dreamer(weights, teacher, *more):
    words = {**weights, "config": weights["config"].replace("grid", "vector")}
    options = [f"start.{name}={value}" for name, value in {**words, "steps": 2, "upsample_steps": 2}.items()]
    return ["prompt=a mug", "device=cpu", f"denoiser.weights={teacher}", *options, *more]


def test_gaussiandreamers_numbers(weights, teacher):
    """Written out from its configs/gaussiandreamer-sd.yaml, arguments and system, not read from the recipe."""
    recipe = load_recipe(
        "recipes/gaussiandreamer.yaml",
        load_plugins(),
        dreamer(weights, teacher, "cameras.resolution=32"),
    )
    parts = build_parts(recipe)
    cloud, options, extent = parts.representation, recipe.options, 4 / 1.6
    assert (options.steps, options.optimizer.eps) == (1200, 1e-15)
    rates = {id(group["params"][0]): group["lr_scale"] for group in cloud.param_groups()}
    end = 5e-5 * extent * 0.5 ** (1200 / 30000)
    for parameter, first, last in (
        (cloud.means, 5e-5 * extent, end),
        (cloud.sh_base, 0.0125, 0.0125),
        (cloud.opacity_logits, 0.01, 0.01),
        (cloud.log_scales, 0.005, 0.005),
        (cloud.quaternions, 0.001, 0.001),
    ):
        rate = [options.optimizer.rate.at(i, 1200) * rates[id(parameter)].at(i, 1200) for i in (0, 1200)]
        assert rate == pytest.approx([first, last], rel=1e-3)
    growth = cloud.growth
    assert [step for step in range(1, 1201) if growth.acts(step)] == [400, 500, 600, 700, 800]
    assert not any(growth.resets(step) for step in range(1, 1201))
    assert (growth.gradient, growth.clone_scale, growth.prune_opacity) == (0.0002, 0.01 * extent, 0.05)
    assert (growth.prune_scale, growth.prune_scale_after) == (0.1 * extent, 500)
    (guide,) = parts.guidances
    config = guide.guidance.config
    assert config.guidance_scale(fresh_step(0, 1200)) == 100 + 1
    assert config.times.t_range(fresh_step(0, 1200), 1000) == (20, 981)
    assert config.times.t_range(fresh_step(600, 1200), 1000) == (20, 551)
    assert parts.cameras.config.distance == pytest.approx([1.5 / 1.6, 4 / 1.6], abs=0.01)
    assert (parts.cameras.views, parts.cameras.config.elevation_deg) == (4, [-10, 60])


def test_gaussiandreamer_takes_some_steps_from_words(weights, teacher, tmp_path):
    small = [
        "cameras.resolution=16",
        "cameras.views=1",
        "renderer={type: volume}",
        "export={splat: {type: splat_file}}",
    ]
    small += ["steps=2", "observers={}", f"out={tmp_path / 'run'}", "representation.densify=none"]
    assert cli.main(["run", "recipes/gaussiandreamer.yaml", *dreamer(weights, teacher, *small)]) == 0
    assert len(trimesh.load(tmp_path / "run" / "splat.ply").vertices) == 192
