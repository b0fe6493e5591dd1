"""`mcc`: from a picture with depth to a run's folder on tiny weights; closed forms; what is told."""

import json
import math

import numpy
import pytest
import torch
import trimesh
from PIL import Image

from tests.plugins.mcc_tiny import PUBLISHED, QUICK, make, save_depth_model, save_dome, save_weights
from zero3d import cli
from zero3d.errors import RecipeError, UserError
from zero3d.geometry import gltf_to_world, orbit
from zero3d.interfaces import PointCloud, RadianceField, SurfaceRepresentation
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.picture import frame
from zero3d.plugins import load_plugins
from zero3d.testing.samples import fresh_step
from zero3d.values import Picture, PosedPicture, Subject
from zero3d_mcc.depth.model import DepthModel
from zero3d_mcc.depth.unproject import AXES, eroded, from_relative, in_frame, unprojected
from zero3d_mcc.reconstructor import MccReconstructor
from zero3d_mcc.shape.grid import asked, dense
from zero3d_mcc.shape.result import march, nearness, outermost

CAMERA = orbit(25.0, 40.0, 512)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_weights(tmp_path_factory.mktemp("mcc"))


@pytest.fixture(scope="module")
def ball():
    """A sphere of radius 1/2 around the origin: picture with its depths along the rays."""
    view = MeshScene(trimesh.creation.icosphere(5, 0.5)).draw(CAMERA, supersample=1)
    picture = Picture(view.image[0], (view.opacity[0] > 0.5).float())
    return Subject((PosedPicture("front", picture, CAMERA),)), view.depth[0, ..., 0].clone()


@pytest.fixture(scope="module")
def ball_file(ball, tmp_path_factory):
    path = tmp_path_factory.mktemp("ball") / "depth.npy"
    numpy.save(path, numpy.where(ball[0].pictures[0].picture.mask[..., 0] > 0.5, ball[1], 0))
    return str(path)


def given(options, **more):
    return [f"start.{name}={value}" for name, value in {**options, **QUICK, **more}.items()]


def world(points):
    pose = CAMERA.camera_to_world[0]
    return points @ pose[:3, :3].T + pose[:3, 3]


def test_depths_lie_on_the_sphere_they_are_of(ball):
    subject, depth = ball
    mask = subject.pictures[0].picture.mask[..., 0] > 0.5
    found = world(unprojected(torch.where(mask, depth, 0), CAMERA, "ray"))
    assert found[mask].norm(dim=-1).sub(0.5).abs().max() < 2e-3
    assert not found[~mask].isfinite().any()
    # by hand, in the sheet's words: z-depth d, f = (H / 2) / tan(fov / 2), centres at + 0.5
    f = 256 / math.tan(CAMERA.fov / 2)
    own = unprojected(torch.full((512, 512), 3.0), CAMERA)
    expected = torch.tensor([(100.5 - 256) / f * 3, -(400.5 - 256) / f * 3, -3.0])
    torch.testing.assert_close(own[400, 100], expected, rtol=1e-5, atol=1e-5)


def test_maps_of_the_source_are_framed_as_the_picture():
    """A wide source, off-centre and enlarged: the map of pixel coordinates must come out as what the picture shows."""
    rgba = numpy.zeros((40, 60, 4), numpy.uint8)
    y, x = numpy.mgrid[:40, :60]
    rgba[..., 0], rgba[..., 1] = 4 * x, 6 * y
    rgba[10:30, 30:55, 3] = 255
    for framing in ("keep", "fit"):
        framed = frame(rgba, framing, 96)
        seen = in_frame(torch.from_numpy(numpy.stack([4.0 * x, 6.0 * y], -1)).float() / 255, framed.window, 96)
        inner = eroded(framed.picture.mask[..., 0] > 0.99, 3)
        assert inner.sum() > 500
        torch.testing.assert_close(framed.picture.rgb[inner][:, :2], seen[inner], rtol=0, atol=8e-3)
    assert not frame(rgba, "keep", 96).window.top >= 0
    assert not in_frame(torch.ones(20, 30, 1), frame(rgba, "keep", 96).window, 96)[:10].isfinite().any()
    holed = torch.ones(40, 60, 1)
    holed[20, 40] = torch.nan
    unknown = {size: (~in_frame(holed, frame(rgba, "keep", size).window, size).isfinite()).sum() for size in (60, 120)}
    assert unknown[60] == 20 * 60 + 1
    assert unknown[120] == 4 * 20 * 60 + 16


def test_relative_depths():
    """Whatever factor and shift, the same depths; the percentiles at near and far."""
    true = torch.linspace(1.5, 2.1, 101).expand(101, -1)
    mask = torch.ones(101, 101, dtype=torch.bool)
    for factor, shift in ((1.0, 0.0), (37.0, -3.0)):
        found = from_relative(factor / true + shift, mask, 1.5, 2.1)
        low, high = (float(found[0, index]) for index in (2, 98))
        assert abs(low - 1.5) < 1e-3
        assert abs(high - 2.1) < 1e-3
        assert (found.diff(dim=1) > 0).all()


def torus(points):
    away = (points[:, :2].norm(dim=-1) - 1.7).square() + points[:, 2].square()
    return 0.45 - away.sqrt()


def handle(points):
    """A ball with a thin arm, which coarse samples hardly meet."""
    arm = 0.16 - points[:, 1:].norm(dim=-1) + 10 * points[:, 0].clamp(max=0) - 10 * (points[:, 0] - 2.4).clamp(min=0)
    return torch.maximum(0.8 - points.norm(dim=-1), arm)


@pytest.mark.parametrize(("field", "stride"), [(torus, 4), (handle, 5), (torus, 3)])
def test_coarse_to_fine_is_as_if_all_were_asked(field, stride):
    count = 48
    whole = field(dense(count)).reshape(count, count, count)
    assert asked(field, count, 0.0, 1)[0].equal(whole)
    found, calls = asked(field, count, 0.0, stride)
    assert calls < 0.5 * count**3
    assert (found > 0).equal(whole > 0)
    for mine, all_asked in zip(march(found), march(whole), strict=True):
        torch.testing.assert_close(mine, all_asked, rtol=0, atol=1e-6)
    assert outermost(found).equal(outermost(whole))
    assert found[outermost(found).unbind(1)].equal(whole[outermost(whole).unbind(1)])
    torch.testing.assert_close(nearness(found), nearness(whole), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("align", "ahead", "radius"), [("picture", 0.0, 0.25 * 2 / 1.7), ("unit", 0.0, 0.5), ("none", 0.3, 0.25)]
)
def test_the_shape_stands_where_the_picture_shows_it(weights, ball, ball_file, align, ahead, radius):
    """In place of the network's answers a ball of radius 0.25, which is 0.3 nearer to the camera than the origin. "picture"
    scales it by 2 / 1.7, so that the picture of it stays."""
    subject, _ = ball
    made = make(weights, depth=ball_file, depth_along="ray", align=align, granularity=0.15, coarse=4)
    shown, towards = made._prepared(subject.pictures[0]), CAMERA.position[0] / 2

    def closed(at, seen, after=None):
        away = world((at + shown.middle) * shown.scale) - 0.3 * towards
        return torch.cat([20 * (0.25 - away.norm(dim=-1, keepdim=True)), 2 * away + 0.5], dim=-1)

    made._ask = closed
    solid = made.reconstruct(subject, fresh_step())
    vertices, faces, colours = solid.surface()
    spacing = solid.spacing
    vertices = vertices - ahead * towards
    assert (vertices.norm(dim=-1) - radius).abs().max() < 0.05 * spacing
    torch.testing.assert_close(colours, vertices / (2 * radius) + 0.5, rtol=0, atol=0.01)
    mesh = trimesh.Trimesh(vertices, faces)
    assert mesh.is_watertight
    assert abs(mesh.volume / (4 / 3 * math.pi * radius**3) - 1) < 0.05
    away = (solid.points()[0] - ahead * towards).norm(dim=-1)
    assert ((away < radius + 0.05 * spacing) & (away > radius - 2 * spacing)).all()
    directions = torch.nn.functional.normalize(torch.randn(200, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    inner, edge, outer = (
        solid.density(ahead * towards + (radius + by * spacing) * directions) / solid.surface_density
        for by in (-2, 0, 2)
    )
    assert (inner - 2).abs().max() < 1e-5
    assert not outer.any()
    assert (edge.mean() - 1).abs() < 0.1
    torch.testing.assert_close(solid.features(solid.points()[0]), solid.points()[1], rtol=0, atol=0.1)
    assert made.details()["alignment"] == align


def test_the_result_is_a_cloud_a_mesh_and_a_field(weights, ball, ball_file):
    lines = []
    made = make(weights, depth=ball_file)
    made.tell = lines.append
    solid = made.reconstruct(ball[0], fresh_step())
    for kind in (PointCloud, SurfaceRepresentation, RadianceField):
        assert isinstance(solid, kind)
    assert len([line for line in lines if "CC-BY-NC 4.0" in line]) == 1
    middle = solid.surface()[0][solid.surface()[1]].mean(dim=1)
    assert ((solid.density(middle) / solid.surface_density - 1).abs().median()) < 0.3


def test_half_precision_is_near(weights, ball, ball_file):
    full, half = (make(weights, depth=ball_file, dtype=kind) for kind in ("float32", "bfloat16"))
    answers = []
    for made in (full, half):
        rgb, xyz, valid = made._prepared(ball[0].pictures[0]).network_input()
        answers.append(made._ask(dense(6), made._network.encode(rgb.to(made._dtype), xyz, valid))[:, 0])
    assert (answers[0] - answers[1]).abs().max() < 0.15 * answers[0].std()


def test_points_in_other_axes_are_the_same(weights, ball, tmp_path):
    subject, depth = ball
    posed = subject.pictures[0]
    mask = posed.picture.mask[..., 0] > 0.5
    own = unprojected(torch.where(mask, depth, 0), CAMERA, "ray")
    for axes, signs in AXES.items():
        numpy.save(tmp_path / "points.npy", (own / torch.tensor(signs)).numpy())
        made = make(weights, points=str(tmp_path / "points.npy"), points_axes=axes)
        torch.testing.assert_close(made._depths.points(posed, mask)[mask], own[mask])
    assert AXES["opencv"] == (1, -1, -1)  # x right, y down, z ahead
    assert AXES["pytorch3d"] == (-1, 1, -1)  # x left, y up, z ahead


def test_vertices_are_pixels_row_by_row(weights, ball, tmp_path):
    """At half the picture's size, as phones have it."""
    subject, depth = ball
    posed = subject.pictures[0]
    mask = posed.picture.mask[..., 0] > 0.5
    own = unprojected(torch.where(mask, depth, 4.0), CAMERA, "ray")[::4, ::4]
    numpy.save(tmp_path / "points.npy", own.numpy())
    lines = [f"v {x:.9g} {y:.9g} {z:.9g} 0.5 0.5 0.5" for x, y, z in own.reshape(-1, 3).tolist()]
    (tmp_path / "points.obj").write_text("\n".join(["# an app", *lines, "vn 0 0 1", "f 1 2 3"]), encoding="utf-8")
    (tmp_path / "points.ply").write_bytes(trimesh.PointCloud(own.reshape(-1, 3).numpy()).export(file_type="ply"))
    wanted, *found = (
        make(weights, points=str(tmp_path / f"points.{kind}"))._depths.points(posed, mask)
        for kind in ("npy", "obj", "ply")
    )
    assert wanted[mask].isfinite().all()
    for points in found:
        torch.testing.assert_close(points, wanted)
    (tmp_path / "few.obj").write_text("\n".join(lines[:1000]), encoding="utf-8")
    with pytest.raises(UserError, match=r"start.points: .*: 1000 vertices; the picture has 512x512 pixels, and one"):
        make(weights, points=str(tmp_path / "few.obj")).check(subject)


def test_depth_files(weights, ball, ball_file, tmp_path):
    """PNG of millimetres and EXR say the same as .npy."""
    import OpenEXR

    posed = ball[0].pictures[0]
    mask, depth = posed.picture.mask[..., 0] > 0.5, numpy.load(ball_file)
    Image.fromarray((1000 * depth).round().astype(numpy.uint16)).save(tmp_path / "d.png")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z": depth.astype(numpy.float32)}).write(str(tmp_path / "d.exr"))
    wanted = make(weights, depth=ball_file)._depths.points(posed, mask)
    for name in ("d.png", "d.exr"):
        found = make(weights, depth=str(tmp_path / name))._depths.points(posed, mask)
        assert found.isfinite().equal(wanted.isfinite())
        torch.testing.assert_close(found[mask], wanted[mask], rtol=0, atol=2e-3 if name == "d.png" else 1e-6)


@pytest.mark.parametrize("kind", ["dpt", "relative", "metric", "zoe"])
def test_models_of_depth(weights, ball, tmp_path, kind):
    folder = save_depth_model(tmp_path / "depth", kind)
    made = make(weights, depth_model=folder)
    subject, _ = ball
    made.check(subject)
    solid = made.reconstruct(subject, fresh_step())
    assert solid.points()[0].isfinite().all()
    assert made.details()["depth"].startswith("metric" if kind in ("metric", "zoe") else "relative")
    mask = subject.pictures[0].picture.mask[..., 0] > 0.5
    ahead = -made._depths.points(subject.pictures[0], mask)[mask][:, 2]
    raw = made._depths._model(subject.pictures[0].picture.rgb)[mask]
    if kind in ("metric", "zoe"):
        torch.testing.assert_close(ahead, raw)
    else:
        low, high = (float(raw.quantile(share)) for share in (0.02, 0.98))
        expected = 1 / (1 / 2.1 + (raw - low) / (high - low) * (1 / 1.5 - 1 / 2.1))
        torch.testing.assert_close(ahead, expected, rtol=1e-4, atol=1e-4)
    assert made.size(torch.device("cpu"))[0] > sum(p.numel() for p in made._depths._model._module.parameters())
    other = "relative" if kind in ("metric", "zoe") else "metric"
    with pytest.raises(RecipeError, match=rf"start.depth_kind: {other}, but .* is {made._depths.kind}; set") as error:
        make(weights, depth_model=folder, depth_kind=other)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("kind", ["dpt", "zoe"])
def test_a_models_depth_lies_on_the_pixels_it_is_of(tmp_path, kind):
    """Whatever it pads and resizes: a model whose answer is the brightness it was shown."""
    made = DepthModel(save_depth_model(tmp_path / "depth", kind))
    made.load(torch.device("cpu"))
    from transformers.modeling_outputs import DepthEstimatorOutput

    class Echo:
        device = torch.device("cpu")

        def __call__(self, pixel_values):
            return DepthEstimatorOutput(predicted_depth=pixel_values.mean(dim=1))

    made._module = Echo()
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 96), indexing="ij")
    for shown in (x, y):
        waves = 0.5 + 0.4 * torch.sin(8 * shown)
        found, wanted = (part[12:-12, 12:-12] for part in (made(waves[..., None].expand(-1, -1, 3)), waves))
        a, b = found - found.mean(), wanted - wanted.mean()
        slope = (a * b).sum() / b.square().sum()
        assert (a / slope - b).abs().max() < 0.05


def test_reconstruct_makes_a_run(weights, tmp_path, capsys):
    out, depth = tmp_path / "run", save_dome(tmp_path / "depth.npy")
    arguments = ["reconstruct", "mcc", "image=examples/mug.png", f"out={out}", *given(weights), "observers=null"]
    assert cli.main([*arguments, f"start.depth={depth}", f"start.save_cloud={tmp_path / 'cloud.ply'}"]) == 0
    assert capsys.readouterr().err.count("CC-BY-NC") == 1
    mesh = load_mesh(out / "mesh.glb")
    assert mesh.visual.vertex_colors.std() > 0
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert list(manifest["weights"]["start"]) == ["co3dv2_all_categories.pth"]
    start = manifest["start"]
    assert (start["type"], start["licence"][:12], start["alignment"]) == ("mcc", "CC-BY-NC 4.0", "picture")
    assert start["seconds"] > 0
    assert start["depth"] == "metric, of a file"
    cloud = gltf_to_world(torch.from_numpy(numpy.array(trimesh.load(tmp_path / "cloud.ply").vertices)))
    assert (cloud.amax(0) <= torch.tensor(mesh.bounds[1]) + 1e-4).all()


@pytest.mark.parametrize("representation", ["{type: gaussians}", "{type: voxels, resolution: 12}"])
def test_a_distillation_begins_from_it(weights, tmp_path, representation):
    depth = save_dome(tmp_path / "depth.npy")
    arguments = ["run", "recipes/nano.yaml", "image=examples/mug.png", f"out={tmp_path / 'run'}", "start={type: mcc}"]
    arguments += [*given(weights, depth=depth), f"representation={representation}", "renderer={type: volume}"]
    arguments += ["export=null", "observers=null", "steps=1", "cameras={type: sphere, resolution: 8, views: 1}"]
    arguments += ["regularizers=null", "guidance={sds: {type: sds}}", "optimizer.lr=0.0001"]
    assert cli.main(arguments) == 0


def saved(folder, **arrays):
    for name, values in arrays.items():
        numpy.save(folder / f"{name}.npy", values)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"weights": ""},
            r"start.weights: missing; get co3dv2_all_categories.pth from https://.*0\.8 GB, CC-BY-NC 4.0",
        ),
        ({"weights": "nowhere.pth"}, r"start.weights: nowhere.pth: no such file, and nothing is fetched; get"),
        ({"weights": "some/one"}, r"start.weights: 'some/one' is neither a folder nor in the hub's cache"),
        ({"config": ""}, r"MCC's .*; it is another network, or of another size \(start.config\)"),
        ({"depth": ""}, r"start.depth: missing; MCC needs the pixels' places: one of start.depth, start.depth_model"),
        ({"depth": "nowhere.npy"}, r"start.depth: nowhere.npy: no such file"),
        ({"depth": "{tmp}/flat.npy"}, r"start.depth: .*flat.npy: float64 of shape \(4,\); \(H, W\) numbers are needed"),
        ({"depth": "", "points": "{tmp}/deep.npy"}, r"start.points: .*; \(H, W, 3\) numbers are needed"),
        ({"depth": "", "points": "a.png"}, r"start.points: a.png: no picture, but a .npy"),
        ({"depth": "", "points": "a.obj"}, r"start.points: a.obj: no such file"),
        ({"depth": "", "points": "{tmp}/bad.ply"}, r"start.points: .*no vertices can be read"),
        ({"depth": "", "points": "{tmp}/bad.obj"}, r"start.points: .*no vertices can be read"),
        (
            {"depth": "", "depth_model": "Intel/dpt-large"},
            r"start.depth_model: .*nothing is fetched; fetch it with `hf",
        ),
        ({"depth": "", "depth_model": "{tmp}"}, r"start.depth_model: .*config.json"),
        ({"save_cloud": "nowhere/cloud.ply"}, r"start.save_cloud: .*: no such folder"),
    ],
)
def test_what_is_wrong_is_one_line(weights, tmp_path, change, told):
    saved(tmp_path, flat=numpy.ones(4), deep=numpy.ones((4, 4)))
    for name in ("bad.ply", "bad.obj"):
        (tmp_path / name).write_text("v one two\n", encoding="utf-8")
    options = {**weights, "depth": save_dome(tmp_path / "depth.npy"), **change}
    with pytest.raises(RecipeError, match=told) as error:
        MccReconstructor(MccReconstructor.Config(**{k: v.format(tmp=tmp_path) for k, v in options.items()}))
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (numpy.ones((30, 60)), r"start.depth: .*: 60x30 pixels, the picture has 512x512; another shape"),
        (numpy.zeros((64, 64)), r"the depth of 0 of the object's pixels is known, 16 are needed"),
    ],
)
def test_what_fits_no_picture_is_told_before_anything_loads(weights, ball, tmp_path, values, told):
    saved(tmp_path, depth=values)
    made = MccReconstructor(MccReconstructor.Config(**weights, depth=str(tmp_path / "depth.npy")))
    with pytest.raises(UserError, match=told):
        made.check(ball[0])


def test_points_behind_the_camera_are_told(weights, ball, tmp_path):
    saved(tmp_path, points=numpy.random.default_rng(0).normal(size=(512, 512, 3)) + [0, 0, 9])
    made = make(weights, points=str(tmp_path / "points.npy"))
    with pytest.raises(UserError, match=r"the points are not before the camera; say their axes by start.points_axes"):
        made.reconstruct(ball[0], fresh_step())


def test_a_shape_that_is_cut_off_is_told(weights, ball, ball_file):
    made, lines = make(weights, depth=ball_file), []
    made._ask = lambda at, seen, after=None: torch.cat([at[:, :1] - 2, at], dim=-1)
    made.tell = lines.append
    solid = made.reconstruct(ball[0], fresh_step())
    assert any("reaches the end of MCC's grid" in line for line in lines)
    assert trimesh.Trimesh(*solid.surface()[:2]).is_watertight


def test_nothing_occupied_is_told(weights, ball, ball_file):
    made = make(weights, depth=ball_file, threshold=0.99)
    made._ask = lambda at, seen, after=None: torch.full((len(at), 4), -3.0)
    with pytest.raises(UserError, match=r"nothing is occupied with a probability above 0.99 \(the highest is 0.047\)"):
        made.reconstruct(ball[0], fresh_step())


def test_other_weights_are_named(tmp_path):
    zero = torch.zeros(1)
    names = {"masked autoencoder": "blocks.0.attn.qkv.weight", "Point-E's": "backbone.resblocks.0.ln_1.weight"}
    for word, name in names.items():
        path = tmp_path / f"{word[:5]}.pth"
        torch.save({"model": {name: zero, "cls_token": zero, "patch_embed.proj.weight": zero}}, path)
        with pytest.raises(RecipeError, match=rf"start.weights: .*this is .*{word}.*no MCC; get co3dv2"):
            MccReconstructor(MccReconstructor.Config(weights=str(path), depth=save_dome(tmp_path / "d.npy")))


def test_weights_are_listed_inspected_and_converted(weights, ball, ball_file, tmp_path, capsys):
    assert cli.main(["weights", "list", "mcc"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("co3dv2_all_categories.pth", "CC-BY-NC 4.0", "Intel/dpt-large"))
    zero = torch.zeros(1)  # the published shapes, that take no room
    torch.save({"model": {n: zero.expand(*s) for n, s in PUBLISHED["shapes"].items()}}, tmp_path / "full.pth")
    assert cli.main(["weights", "inspect", str(tmp_path / "full.pth")]) == 0
    assert "MCC, colours in 256 bins a channel, 202,141,441 parameters" in capsys.readouterr().out
    assert cli.main(["weights", "convert", weights["weights"], str(tmp_path / "new")]) == 0
    both = [make({**weights, "weights": w}, depth=ball_file) for w in (weights["weights"], str(tmp_path / "new"))]
    assert both[1].weight_files()[0].suffix == ".safetensors"
    first, second = (made.reconstruct(ball[0], fresh_step()).state_dict() for made in both)
    assert all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize(
    "options",
    [
        {"granularity": 0.001},
        {"threshold": 1.0},
        {"coarse": 0},
        {"erode": 99},
        {"temperature": 0.0},
        {"depth_scale": 0.0},
        {"near": "close"},
        {"near": 2.0, "far": 1.0},
        {"align": "magic"},
        {"depth_kind": "deep"},
        {"points_axes": "blender"},
        {"dtype": "int8"},
        {"points": "a.npy", "depth": "b.npy"},
        {"save_cloud": "a.obj"},
    ],
)
def test_options_out_of_range(options):
    (first, *_) = options
    with pytest.raises(ValueError, match=rf"^{first}: .*; "):
        MccReconstructor.Config(**options)


def test_it_is_registered():
    assert load_plugins().get("reconstructor", "mcc", "here") is MccReconstructor
