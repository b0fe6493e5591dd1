"""One-2-3-45's estimate of the elevation: geometry, matches, and what a run and a plan make of it; no published weights."""

import math
import shutil

import numpy
import pytest
import torch

from zero3d.errors import RecipeError
from zero3d.geometry import orbit, rays
from zero3d.interfaces import PixelDenoiser
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.run import plan, run
from zero3d.values import Cameras, Picture
from zero3d_procedural.families import make_object
from zero3d_procedural.texture import random_texture
from zero3d_zero123.component import Zero123, Zero123Config
from zero3d_zero123.one2345 import drawing
from zero3d_zero123.one2345.drawing import ASSUMED_DEG, estimate
from zero3d_zero123.one2345.search import MOVES_DEG, Tracks, _projections, beside, best_elevation


class TrueViews(PixelDenoiser):
    """Draws a textured object from `elevation_deg` plus however far the camera moves: what Zero-1-to-3 learnt to do."""

    name = "true_views"

    def __init__(self, seed, elevation_deg, size=256, move=lambda camera: camera):
        super().__init__(None)
        self.resolution = self.picture_resolution = size
        self.elevation_deg, self.move, self.drawn, self.calls = elevation_deg, move, None, 0
        rng = numpy.random.default_rng(seed)
        self.texture = next(found for found in (random_texture(rng) for _ in range(99)) if found)
        self.scene = MeshScene(make_object(seed))

    def condition(self, subject):
        return subject.pictures[0].camera

    def predict(self, noised, sigma, condition, cameras, branches):
        self.calls += 1
        if self.drawn is None:
            up = torch.rad2deg(cameras.elevation - condition.elevation) + self.elevation_deg
            across = torch.rad2deg(cameras.azimuth - condition.azimuth)
            self.drawn = self.scene.draw(self.move(orbit(up, across, self.resolution)), texture=self.texture).image
        return dict.fromkeys(branches, self.drawn)


@pytest.fixture
def few_steps(monkeypatch):
    """The oracle says the same in each."""
    monkeypatch.setattr(drawing, "STEPS", 2)


BLANK = Picture(torch.ones(256, 256, 3), torch.ones(256, 256, 1))
CPU = torch.device("cpu")


def seen(points, elevation_deg):
    """Tracks of world points (N, 3), each starting view's, by the cameras' own rays in place of a projection."""
    cameras = beside(elevation_deg, 1)
    pose = cameras.camera_to_world.double().numpy()
    local = numpy.einsum("vji,vnj->vni", pose[:, :3, :3], points[None] - pose[:, None, :3, 3])
    half = math.tan(float(cameras.fov) / 2)
    places = numpy.stack([local[..., 0], -local[..., 1]], axis=-1) / -local[..., 2:] / half / 2 + 0.5
    orders = [tuple((start + i) % 4 for i in range(4)) for start in range(4)]
    return [Tracks(places[list(order)].swapaxes(0, 1), order) for order in orders]


def test_points_on_a_pixels_ray_are_projected_to_it():
    cameras = beside(17.0, 8)
    origins, directions = rays(cameras)
    points = (origins + 1.7 * directions)[:, 2, 5].double().numpy()
    for projection, point in zip(_projections(17.0), points, strict=True):
        x, y, depth = projection @ [*point, 1]
        assert (x / depth, y / depth) == pytest.approx((5.5 / 8, 2.5 / 8), abs=1e-5)


@pytest.mark.parametrize("elevation_deg", [-35, 0, 18, 61])
def test_exact_points_tell_the_elevation_to_the_degree_and_wrong_ones_do_not_decide(elevation_deg):
    rng = numpy.random.default_rng(0)
    tracks = seen(rng.uniform(-0.5, 0.5, (60, 3)), elevation_deg)
    found = best_elevation(tracks)
    assert (found.mean_deg, found.std_deg) == (elevation_deg, 2.0)
    for track in tracks:
        track.places[:10] = rng.uniform(0.2, 0.8, (10, 4, 2))
        track.places[rng.random((60, 4)) < 0.2] = numpy.nan
        track.places[:, :2] = numpy.nan_to_num(track.places[:, :2], nan=0.5)  # a further few matched wrongly
    assert best_elevation(tracks).mean_deg == pytest.approx(elevation_deg, abs=3)


@pytest.mark.parametrize(("seed", "elevation_deg"), [(2000001, 25), (2000002, -5), (2000009, 50)])
def test_the_elevation_of_a_textured_object_is_found_from_the_views_a_teacher_draws(seed, elevation_deg, few_steps):
    teacher = TrueViews(seed, elevation_deg)
    found = estimate(teacher, BLANK, CPU)
    assert abs(found.mean_deg - elevation_deg) <= 3
    assert found.std_deg < 6


def test_an_estimate_takes_75_steps_and_is_the_same_each_time(monkeypatch):
    teacher = TrueViews(2000001, 25, size=128)
    found, state = estimate(teacher, BLANK, CPU), torch.get_rng_state()
    assert teacher.calls == 75, "each of both branches at once"
    assert found == estimate(teacher, BLANK, CPU)
    assert torch.equal(torch.get_rng_state(), state), "nobody's random numbers move"


def test_a_teacher_whose_views_do_not_agree_says_so_by_its_deviation_or_decides_nothing(few_steps):
    def shuffled(cameras):
        pose = cameras.camera_to_world[[2, 3, 1, 0]]
        return Cameras(pose, cameras.height, cameras.width, cameras.fov)

    found = estimate(TrueViews(2000002, 20, move=shuffled), BLANK, CPU)
    assert found is None or found.std_deg > 5 or abs(found.mean_deg - 20) > 10
    plain = TrueViews(2000002, 20)
    plain.texture = lambda points, colour: numpy.ones_like(colour)  # nothing to match
    plain.scene = MeshScene(make_object(2000014))
    assert estimate(plain, BLANK, CPU) is None


def test_the_moves_are_ten_degrees_up_down_and_aside():
    cameras = beside(ASSUMED_DEG, 4)
    up = torch.rad2deg(cameras.elevation) - ASSUMED_DEG
    across = torch.rad2deg(cameras.azimuth)
    assert torch.allclose(torch.stack([up, across], dim=1), torch.tensor(MOVES_DEG), atol=1e-3)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    from tests.plugins.zero123_tiny import save_folder

    folder = tmp_path_factory.mktemp("one2345") / "tiny"
    save_folder(folder)
    return folder


def asked(weights, *more):
    return [
        "image=examples/mug.png",
        f"denoiser={{type: zero123, weights: {weights}, elevation: one2345}}",
        "representation.resolution=16",
        "export=null",
        "observers=null",
        "device=cpu",
        *more,
    ]


def test_a_plan_loads_nothing_and_says_what_a_run_will_do(weights, monkeypatch):
    monkeypatch.setattr(drawing, "draw_beside", None)
    planned = plan("zero123-sjc", load_plugins(), asked(weights))
    assert [note for note in planned.notes if "elevation" in note] == [
        "elevation: estimated when the run starts, from four views that the denoiser draws (one2345)"
    ]
    planned = plan("zero123-sjc", load_plugins(), asked(weights, "input.elevation_deg=5"))
    assert not [note for note in planned.notes if "elevation" in note]


@pytest.mark.parametrize("shown", [True, False])
def test_a_run_says_the_cost_first_and_then_what_was_found(weights, tmp_path, monkeypatch, few_steps, shown):
    teacher = TrueViews(2000002, 25)

    def views(denoiser, picture, device):
        said.append("drawn")
        return drawing_of(teacher, picture, device) if shown else torch.ones(4, 256, 256, 3)

    drawing_of, said = drawing.draw_beside, []
    monkeypatch.setattr(drawing, "draw_beside", views)
    run("zero123-sjc", load_plugins(), asked(weights, "steps=1", f"out={tmp_path / 'out'}"), tell=said.append)
    lines = [line for line in said if "elevation" in line or line == "drawn"]
    assert lines[0].startswith("elevation: one2345 draws 4 views of the picture in 75 steps")
    assert lines[1] == "drawn"
    if shown:
        assert lines[2].startswith("note: elevation: 25 degrees, give or take 2 (estimated)")
    else:
        assert lines[2] == "elevation: one2345 found too few points that its views have in common, and cannot decide"
        assert lines[3] == "note: input.elevation_deg not given: the camera is taken to look down by 20 degrees"


def test_mistakes_are_told_before_anything_is_loaded(tmp_path, weights, monkeypatch):
    for options, told in (
        ({"elevation": "two"}, "elevation: 'two'; one of assumed, one2345"),
        ({"elevation": "one2345"}, "nano tells the elevation by itself"),
        ({"elevation": "one2345", "weights": "x", "pose": "stable"}, "with pose=stable the elevation must be given"),
    ):
        with pytest.raises(ValueError, match=told):
            Zero123Config(**options)
    stable = tmp_path / "stable"
    shutil.copytree(weights, stable)
    (stable / "model_index.json").write_text('{"_pose": "stable"}', encoding="utf-8")
    with pytest.raises(RecipeError, match="Stable Zero123 must be told the elevation"):
        Zero123.build(Zero123Config(weights=str(stable), elevation="one2345"))
    monkeypatch.setattr("zero3d_zero123.one2345.matches.importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"one2345 needs OpenCV: pip install 'zero3d\[grabcut\]'"):
        Zero123.build(Zero123Config(weights=str(weights), elevation="one2345"))
