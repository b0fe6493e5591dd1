"""`zero3d draw`: to 8 bits what renderers and the ray caster give, with depth and normals that closed forms know."""

import json
import math

import av
import numpy
import pytest
import torch
from PIL import Image

from tests.plugins.test_report import two_halves
from zero3d import checkpoint
from zero3d.cli import main
from zero3d.geometry import orbit
from zero3d.interfaces import RadianceField
from zero3d.mesh_files import load_mesh, save_mesh
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.run import open_session, run
from zero3d.values import FAR, PUBLISHED_FOV, View
from zero3d_report.drawing.drawn import drawn

SIDE = 48
RECIPE = """
steps: 2
device: cpu
image: {image}
input: {{elevation_deg: 15, framing: keep, mask: alpha}}
cameras: {{type: sphere, resolution: 16}}
representation: {{type: voxels, resolution: 12, initial_std: 0.3, density_shift: 1}}
renderer: {{type: volume}}
regularizers: {{input_view: {{weight: 10}}}}
observers: null
"""


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """A run of a small field, somewhat transparent."""
    place = tmp_path_factory.mktemp("draw")
    rgba = numpy.zeros((32, 32, 4), numpy.uint8)
    rgba[8:24, 8:24] = (200, 30, 30, 255)
    Image.fromarray(rgba, "RGBA").save(place / "red.png")
    (place / "r.yaml").write_text(RECIPE.format(image=place / "red.png"), encoding="utf-8")
    run(str(place / "r.yaml"), load_plugins(), [f"out={place / 'run'}"], tell=lambda line: None)
    return place / "run"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    path = tmp_path_factory.mktemp("mesh") / "box.glb"
    save_mesh(two_halves(), path)
    return path


def over_white(path):
    rgba = numpy.asarray(Image.open(path)).astype(float) / 255
    return rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]


def test_a_run_is_drawn_as_its_renderer_draws_it(field, tmp_path):
    assert main(["draw", str(field), "--orbit", "3", "--size", str(SIDE), "--out", str(tmp_path / "a")]) == 0
    session = open_session(field, load_plugins())
    checkpoint.load(session.engine, field)
    for k in range(3):
        view = session.engine.draw(orbit(15.0, 120.0 * k, SIDE))
        found = over_white(tmp_path / "a" / f"{k:03d}.png")
        assert abs(found - view.image[0].numpy()).max() <= 2 / 255, "two roundings: of colour and of alpha"
        alpha = numpy.asarray(Image.open(tmp_path / "a" / f"{k:03d}.png"))[..., 3]
        assert abs(alpha / 255 - view.opacity[0, ..., 0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_a_file_is_drawn_as_the_ray_caster_draws_it(mesh, tmp_path):
    words = ["--elevation", "0", "--size", "64", "--depth", "--normals", "--fov", "40", "--distance", "3"]
    assert main(["draw", str(mesh), "--orbit", "4", *words, "--out", str(tmp_path / "a")]) == 0
    record = json.loads((tmp_path / "a" / "transforms.json").read_text(encoding="utf-8"))
    scene = MeshScene(load_mesh(mesh))
    for k, frame in enumerate(record["frames"]):
        cameras = orbit(0.0, 90.0 * k, 64, 3.0, math.radians(40))
        assert numpy.allclose(frame["transform_matrix"], cameras.camera_to_world[0], atol=1e-6)
        assert frame["fl_x"] == pytest.approx(32 / math.tan(math.radians(20)))
        found = over_white(tmp_path / "a" / frame["file_path"])
        assert abs(found - scene.draw(cameras, light=None).image[0].numpy()).max() <= 2 / 255
        depth = numpy.asarray(Image.open(tmp_path / "a" / frame["depth_file_path"]))
        assert depth.dtype == numpy.uint16
        half = (0.25, 0.4)[k % 2]  # of the box, towards the camera
        straight = (3 - half) * math.sqrt(1 + 2 * (0.5 / frame["fl_x"]) ** 2)  # through the pixel beside the middle
        assert depth[32, 32] * record["depth_scale"] == pytest.approx(straight, abs=1e-4)
        assert depth[0, 0] == 0
        normal = numpy.asarray(Image.open(tmp_path / "a" / frame["normal_file_path"])).astype(float)
        turn = math.radians(90 * k)
        expected = 127.5 * (numpy.array([math.cos(turn), math.sin(turn), 0]) + 1)
        assert abs(normal[32, 32] - expected).max() <= 1
        assert (normal[0, 0] == 128).all()


def test_cameras_of_its_own_file_give_the_same_pictures(mesh, tmp_path):
    assert main(["draw", str(mesh), "--orbit", "2", "--size", "40", "--out", str(tmp_path / "a")]) == 0
    cameras = ["--cameras", str(tmp_path / "a" / "transforms.json")]
    assert main(["draw", str(mesh), *cameras, "--out", str(tmp_path / "b")]) == 0
    for k in range(2):
        same = [(tmp_path / place / f"{k:03d}.png").read_bytes() for place in "ab"]
        assert same[0] == same[1]
    assert main(["draw", str(mesh), *cameras, "--size", "20", "--out", str(tmp_path / "c")]) == 0
    assert Image.open(tmp_path / "c" / "000.png").size == (20, 20)
    assert main(["eval", str(mesh), "--views", str(tmp_path / "a"), "--json", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text(encoding="utf-8"))["psnr"] > 45, "eval reads what draw writes"


def test_wide_cameras_keep_their_shape(mesh, tmp_path):
    pose = orbit(10.0, 0.0, 1).camera_to_world[0].tolist()
    lens = {"fl_x": 70.0, "fl_y": 70.0, "cx": 40.0, "cy": 30.0, "w": 80, "h": 60}
    record = {**lens, "frames": [{"file_path": "images/wide one.png", "transform_matrix": pose}]}
    (tmp_path / "t.json").write_text(json.dumps(record), encoding="utf-8")
    assert main(["draw", str(mesh), "--cameras", str(tmp_path / "t.json"), "--out", str(tmp_path / "a")]) == 0
    (picture,) = (tmp_path / "a").glob("*.png")
    assert Image.open(picture).size == (80, 60)
    record["cx"] = 55.0
    (tmp_path / "t.json").write_text(json.dumps(record), encoding="utf-8")
    assert main(["draw", str(mesh), "--cameras", str(tmp_path / "t.json"), "--out", str(tmp_path / "b")]) == 2


def test_background(mesh, tmp_path):
    words = ["--orbit", "1", "--size", "32", "--background", "#10ff20", "--out", str(tmp_path / "a")]
    assert main(["draw", str(mesh), *words]) == 0
    picture = numpy.asarray(Image.open(tmp_path / "a" / "000.png"))
    assert picture.shape == (32, 32, 3)
    assert tuple(picture[0, 0]) == (16, 255, 32)


def test_film(mesh, tmp_path):
    film = tmp_path / "turn.mp4"
    words = ["--size", "64", "--seconds", "0.5", "--fps", "8", "--elevation", "0", "--background", "black"]
    assert main(["draw", str(mesh), "--turntable", str(film), *words]) == 0
    with av.open(str(film)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 8
    assert len(frames) == 4
    scene = MeshScene(load_mesh(mesh))
    for k, frame in enumerate(frames):
        view = scene.draw(orbit(0.0, 90.0 * k, 64), light=None)
        expected = (view.image[0] - (1 - view.opacity[0])).numpy()
        assert abs(frame / 255 - expected).mean() < 0.03, "the codec's loss"


class Round(RadianceField):
    """A ball of radius 0.4 with a soft edge."""

    name = "round"
    channels, spacing = 3, 0.05

    def __init__(self):
        super().__init__(None)
        self.register_buffer("box", torch.tensor([[-1.0] * 3, [1.0] * 3]))

    def initialise(self, step):
        """Nothing is random."""

    def density(self, points):
        return 50 * torch.sigmoid(20 * (0.4 - points.norm(dim=-1)))

    def features(self, points):
        return torch.ones_like(points)


@pytest.mark.parametrize("radius", [0.4, 0.35, 0.45])
def test_a_fields_normals_are_taken_where_its_depth_is(radius):
    """Seen from 2 before a ball, in the middle of the picture; of a half opaque pixel too."""
    cameras = orbit(30.0, 40.0, 1, 2.0, PUBLISHED_FOV)
    opacity = torch.full((1, 1, 1, 1), 0.75)
    depth = opacity * (2 - radius) + (1 - opacity) * FAR
    found = drawn(View(torch.ones(1, 1, 1, 3), opacity, depth), cameras, Round())
    assert float(found.depth) == pytest.approx(2 - radius, abs=1e-5)
    outwards = cameras.position[0] / 2
    assert torch.allclose(found.normals[0, 0], outwards, atol=2e-3), "central differences over half a spacing"


def test_thin_pixels_have_no_surface():
    cameras = orbit(0.0, 0.0, 1)
    thin = torch.full((1, 1, 1, 1), 0.4)
    found = drawn(View(torch.ones(1, 1, 1, 3), thin, thin * 2 + (1 - thin) * FAR), cameras, Round())
    assert float(found.depth) == 0
    assert not found.normals.any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--orbit", "2"], "--out DIR"),
        (["--out", "a"], "--orbit N"),
        (["--orbit", "2", "--cameras", "t.json", "--out", "a"], "--orbit N or --cameras"),
        (["--orbit", "0", "--out", "a"], "--orbit N"),
        (["--orbit", "2", "--out", "a", "--size", "8"], "--size: 8; 16 to 4096"),
        (["--orbit", "2", "--out", "a", "--elevation", "91"], "--elevation: 91"),
        (["--orbit", "2", "--out", "a", "--elevation", "nan"], "--elevation: nan"),
        (["--orbit", "2", "--out", "a", "--background", "#12"], "--background: '#12'"),
        (["--orbit", "2", "--out", "full"], "full is not empty"),
        (["--orbit", "2", "--out", "none/a"], "in a folder that is not there"),
        (["--cameras", "none.json", "--out", "a"], "none.json: cannot be read"),
        (["--cameras", "none.json", "--out", "a", "--fov", "30"], "leave out --elevation"),
        (["--turntable", "a.gif"], "name a .mp4 file"),
        (["--turntable", "a.mp4", "--size", "33"], "an even number"),
        (["--turntable", "a.mp4", "--depth"], "leave out --depth"),
        (["--orbit", "2", "--out", "a", "--fps", "5"], "--seconds and --fps are a film's"),
    ],
)
def test_mistakes(mesh, words, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["draw", str(mesh), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("words", [["--orbit", "1", "--out", "a"], []], ids=["to", "nothing more"])
@pytest.mark.parametrize(
    ("target", "said"),
    [("none", "no such run or model file"), ("none.glb", "no such run or model file"), ("empty", "no run's folder")],
)
def test_what_is_no_model(target, said, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["draw", target, *words]) == 2
    assert capsys.readouterr().err.startswith(f"zero3d: {target}: {said}")


def test_splats_are_drawn_as_their_renderer_draws_them(tmp_path):
    from tests.plugins.test_gaussians_viewer import balls
    from zero3d.interfaces import ExportSubject
    from zero3d_gaussians.exporter import SplatFile, SplatFileConfig
    from zero3d_gaussians.renderer import SplatConfig, SplatRenderer

    cloud = balls()
    subject = ExportSubject(cloud, lambda cameras: None, lambda image: image, True, orbit(0.0, 0.0, SIDE), SIDE)
    SplatFile(SplatFileConfig()).export(subject, tmp_path / "model.ply")
    words = ["--orbit", "1", "--elevation", "0", "--size", str(SIDE), "--out", str(tmp_path / "a")]
    assert main(["draw", str(tmp_path / "model.ply"), *words]) == 0
    with torch.no_grad():
        expected = SplatRenderer(SplatConfig()).render(cloud, orbit(0.0, 0.0, SIDE), torch.ones(3)).image[0].numpy()
    assert abs(over_white(tmp_path / "a" / "000.png") - expected).max() <= 2 / 255
