"""What no kernel may be given, or must survive: numbers that are none, tensors of another size, cameras of nowhere."""

import json
import math
import subprocess
import sys

import pytest
import torch

from tests.core.test_engine import make_engine
from tests.plugins.test_fused import TWO, WHITE, voxels
from zero3d.errors import ExportError, UserError
from zero3d.geometry import check_cameras, orbit
from zero3d.testing import fresh_step
from zero3d.values import Cameras
from zero3d_mesh.cutting import cut
from zero3d_nerfacc.renderer import NerfaccConfig, NerfaccRenderer
from zero3d_ngp.field import HashGridConfig, HashGridField
from zero3d_surface.mesh import Mesh, MeshConfig
from zero3d_surface.rasterizer import Rasterizer, RasterizerConfig
from zero3d_voxels.cuda.occupancy import occupancy
from zero3d_voxels.fused import FusedConfig, FusedRenderer
from zero3d_voxels.options import VoxelConfig
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer


@pytest.fixture(scope="module")
def drawn():
    """(place, value) -> what became of it, in each of four ways to draw."""
    command = [sys.executable, "-m", "tests.plugins.drawing_faults"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-2000:]
    found = {}
    for line in done.stdout.splitlines():
        place, value, _, how, finite = json.loads(line)
        found.setdefault((place, value), []).append((how, finite))
    return found


def test_no_number_kills_the_fused_renderer(drawn):
    assert len(drawn) == 9 * 5
    for (place, _), cases in drawn.items():
        if place != "fov":  # its tangent stops before any kernel
            assert {how for how, _ in cases} <= {"drawn", "UserError"}, place


@pytest.mark.parametrize("place", ["raw_density", "one voxel", "raw_features", "log_scale"])
def test_a_parameter_that_is_nan_is_seen_and_not_passed_over(drawn, place):
    """A picture of the background would hide it: whoever looks for NaN must find it."""
    assert drawn[place, "nan"] == [("drawn", [False, False])] * 4


def test_nan_is_not_empty_on_a_gpu_either():
    density = torch.full((1, 1, 8, 8, 8), -60.0)
    density[0, 0, 5, 5, 5] = math.nan
    assert occupancy(density, -17.0)[1, 1, 1] == 1
    assert occupancy(density, math.nan).all()


@pytest.mark.parametrize("size", [(1, 1, 5, 8, 8), (1, 1, 8, 8, 9), (1, 1, 0, 8, 8)])
@pytest.mark.parametrize("renderer", [FusedRenderer(FusedConfig()), VolumeRenderer(VolumeConfig())])
def test_a_field_of_another_size_than_its_options_say_is_refused(renderer, size):
    field = voxels()
    field.raw_density.data = torch.zeros(size)
    with pytest.raises(UserError, match=r"raw_density is .* options say \(1, 1, 8, 8, 8\)"):
        renderer.render(field, TWO, WHITE)
    field = voxels()
    field.raw_features.data = torch.zeros(1, 3, 8, 8, 8, dtype=torch.float64)
    with pytest.raises(UserError, match=r"raw_features is .*float64"):
        renderer.render(field, TWO, WHITE)


def test_a_saved_box_that_is_not_the_options_is_refused():
    field, state = voxels(), voxels().state_dict()
    field.load_state_dict(state)
    for box in (torch.full((2, 3), math.nan), torch.tensor([[-9.0] * 3, [9.0] * 3])):
        with pytest.raises(RuntimeError, match="box"):
            field.load_state_dict(state | {"box": box})


@pytest.mark.parametrize("renderer", [FusedRenderer(FusedConfig()), VolumeRenderer(VolumeConfig())])
def test_a_box_that_is_spoilt_later_is_named(renderer):
    field = voxels()
    field.box[0, 0] = math.nan
    with pytest.raises(UserError, match=r"representation: a chord of nan"):
        renderer.render(field, TWO, WHITE, frozenset({"weights"}))


def test_more_pixels_than_the_kernels_can_count_are_refused():
    cameras = orbit(0.0, 0.0, 2**15)
    with pytest.raises(UserError, match="1 views of 32768x32768 pixels; at most"):
        FusedRenderer(FusedConfig()).render(voxels(), cameras, WHITE)


@pytest.mark.parametrize(
    "options",
    [
        {"box": math.inf},
        {"box": math.nan},
        {"box": 1e30},
        {"box": 1e-9},
        {"box": 10**400},
        {"box": "big"},
        {"box": [[-1, -1, -1], [1, 1, math.nan]]},
        {"box": [[-1000, -1e-3, -1e-3], [1000, 1e-3, 1e-3]], "resolution": [2, 1024, 1024]},
        {"density_gain": math.nan},
        {"density_shift": -math.inf},
        {"initial_std": math.nan},
    ],
)
def test_options_that_no_ray_can_be_drawn_through_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        VoxelConfig(**options)


def turned(change):
    pose = orbit(20.0, 30.0, 8).camera_to_world
    change(pose)
    return pose


BAD_POSES = {
    "holds nan or inf": [
        turned(lambda pose: pose[0, 0].fill_(math.nan)),
        turned(lambda pose: pose[0, :3, 3].fill_(math.inf)),
    ],
    "is no rotation": [
        turned(lambda pose: pose[0, :3, :3].mul_(2)),
        turned(lambda pose: pose[0, :3, :3].zero_()),
        turned(lambda pose: pose[0, 1].copy_(pose[0, 0])),
    ],
    "mirrors the world": [turned(lambda pose: pose[0, :3, 0].neg_())],
    "does not end in": [turned(lambda pose: pose[0, 3].zero_())],
    "is over 10000 world units": [turned(lambda pose: pose[0, :3, 3].mul_(1e5))],
    "shape": [torch.eye(4), torch.eye(3)[None], torch.zeros(0, 4, 4)],
}


@pytest.mark.parametrize(("said", "pose"), [(said, pose) for said, poses in BAD_POSES.items() for pose in poses])
def test_poses_that_are_none_are_named(said, pose):
    with pytest.raises(UserError, match=f"^who: .*{said}"):
        check_cameras(Cameras(pose, 8, 8), "who")


@pytest.mark.parametrize("fov", [0.0, -1.0, math.pi, math.nan, math.inf])
def test_fields_of_view_that_are_none_are_named(fov):
    with pytest.raises(UserError, match="field of view"):
        check_cameras(Cameras(TWO.camera_to_world, 8, 8, fov), "who")


@pytest.mark.parametrize("side", [0, -1, 2**20])
def test_pictures_of_no_size_are_named(side):
    with pytest.raises(UserError, match="pixels"):
        check_cameras(Cameras(TWO.camera_to_world, 8, side), "who")


def test_ordinary_cameras_pass():
    assert check_cameras(TWO, "who") is TWO
    check_cameras(Cameras(TWO.camera_to_world.double(), 1, 2**15, 3.1), "who")


def test_a_sampler_that_gives_nan_stops_the_step_by_name(monkeypatch):
    engine = make_engine(guidances=[("pull", 1.0, 1.0)])
    sampler = engine.parts.cameras
    spoilt = Cameras(torch.full((1, 4, 4), math.nan), 8, 8)
    monkeypatch.setattr(type(sampler), "sample", lambda self, step: spoilt)
    with pytest.raises(UserError, match=r"^step 0: cameras: the pose holds nan or inf"):
        engine.step(0)
    with pytest.raises(UserError, match=r"^cameras to draw: the pose holds nan or inf"):
        engine.draw(spoilt)


def test_parameters_that_are_nan_are_named_when_drawn():
    engine = make_engine()
    with torch.no_grad():
        engine.parts.representation.picture[0, 0, 0] = math.nan
    with pytest.raises(UserError, match="representation: its picture holds nan or inf, as do picture; it diverged"):
        engine.draw(orbit(0.0, 0.0, 4))


SPOILT_MESHES = {
    "not finite": lambda mesh: mesh.vertices.data[3].fill_(math.nan),
    "10000 world units": lambda mesh: mesh.vertices.data[3].fill_(1e30),
    "not there": lambda mesh: mesh.faces[2].fill_(10**6),
    "are not there": lambda mesh: mesh.faces[2].fill_(-1),
    "no faces": lambda mesh: setattr(mesh, "faces", mesh.faces[:0]),
}


@pytest.mark.parametrize(("said", "spoil"), SPOILT_MESHES.items())
def test_a_mesh_that_would_kill_a_mesh_library_is_refused(said, spoil):
    """igl reads beyond its arrays for such faces, xatlas never ends for such vertices."""
    mesh = Mesh(MeshConfig(subdivisions=1))
    mesh.initialise(fresh_step())
    with torch.no_grad():
        spoil(mesh)
    with pytest.raises(UserError, match=f"^representation mesh: .*{said}"):
        Rasterizer(RasterizerConfig()).render(mesh, TWO, WHITE)
    with pytest.raises(ExportError, match=f"^no surface: .*{said}"):
        cut._own(mesh)
    if said != "no faces":
        textured = Mesh(MeshConfig(start="previous", texture=16))
        with pytest.raises(UserError, match=f"^representation.start previous: .*{said}"):
            textured.follow(mesh)


def test_saved_faces_of_no_vertices_are_refused():
    mesh = Mesh(MeshConfig(subdivisions=1))
    state = mesh.state_dict()
    mesh.load_state_dict(state)
    with pytest.raises(RuntimeError, match="faces: some are of vertices that are not there"):
        mesh.load_state_dict(state | {"faces": state["faces"] + 10**6})


def test_a_hash_table_of_another_size_is_refused():
    field = HashGridField(HashGridConfig(levels=2, table_log2=6))
    field.encoding.table.data = torch.zeros(10)
    with pytest.raises(UserError, match=r"its table is \(10,\), its options say"):
        field.density(torch.zeros(1, 3))


@pytest.mark.parametrize("corner", [math.nan, math.inf, 1.0, 1e30])
def test_nerfacc_refuses_a_box_that_no_ray_can_march_through(corner):
    pytest.importorskip("nerfacc")
    field = voxels()
    field.box[0, 0] = corner
    with pytest.raises(UserError, match="representation: a box from"):
        NerfaccRenderer(NerfaccConfig()).render(field, TWO, WHITE)
