import math

import numpy
import torch

from zero3d.geometry import gltf_to_world, look_at, orbit, rays, world_to_blender, world_to_gltf
from zero3d.values import PUBLISHED_FOV, Cameras
from zero3d_zero123.pose import relative_pose


def test_the_published_field_of_view():
    assert abs(math.degrees(PUBLISHED_FOV) - 49.1343) < 1e-4


def test_the_input_camera_stands_on_the_x_axis_and_sees_z_upwards():
    cameras = orbit(0.0, 0.0, 5)
    assert torch.allclose(cameras.position, torch.tensor([[2.0, 0.0, 0.0]]), atol=1e-6)
    right, up, back = cameras.camera_to_world[0, :3, :3].T
    assert torch.allclose(up, torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
    assert torch.allclose(right, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)
    assert torch.allclose(back, torch.tensor([1.0, 0.0, 0.0]), atol=1e-6)


def test_positive_azimuth_moves_the_camera_to_its_right():
    start, moved = orbit(0.0, 0.0, 1), orbit(0.0, 10.0, 1)
    right = start.camera_to_world[0, :3, 0]
    assert (moved.position[0] - start.position[0]) @ right > 0


def test_look_at_from_straight_above_is_the_limit_of_tilting_up_from_the_input_side():
    above = look_at(torch.tensor([[0.0, 0.0, 2.0]]))
    nearly = orbit(89.99, 0.0, 1).camera_to_world
    assert torch.allclose(above, nearly, atol=1e-3)


def test_the_central_ray_hits_the_origin_and_the_corner_ray_the_field_of_view():
    cameras = orbit(30.0, 70.0, 3)
    origins, directions = rays(cameras)
    assert torch.allclose(directions[0, 1, 1] * 2, -origins[0, 1, 1], atol=1e-5)
    # pixel centres: the outermost of 3 lies at 2/3 of the half-width
    edge = math.atan(2 / 3 * math.tan(PUBLISHED_FOV / 2))
    assert math.isclose(float(directions[0, 1, 0] @ directions[0, 1, 1]), math.cos(edge), rel_tol=1e-5)


def test_row_zero_is_the_top():
    _, directions = rays(orbit(0.0, 0.0, 4))
    assert (directions[0, 0, :, 2] > 0).all()
    assert (directions[0, -1, :, 2] < 0).all()


def test_pose_vector_equals_the_original_code():
    golden = numpy.load("tests/data/zero123_tiny.npz")

    def cameras(name):
        return Cameras(look_at(torch.from_numpy(golden[name]).double()), 1, 1)

    pose = relative_pose(cameras("pose_target_eye"), cameras("pose_cond_eye"))
    assert torch.allclose(pose, torch.from_numpy(golden["pose_T"]).double(), atol=1e-5)


def test_gltf_axes_turn_the_input_camera_to_z_and_up_to_y():
    assert world_to_gltf(torch.tensor([[2.0, 0.0, 0.0]])).tolist() == [[0.0, 0.0, 2.0]]
    assert world_to_gltf(torch.tensor([[0.0, 0.0, 1.0]])).tolist() == [[0.0, 1.0, 0.0]]
    points = torch.rand(4, 3)
    assert torch.equal(gltf_to_world(world_to_gltf(points)), points)


def test_blender_stands_gltf_up():
    """As Blender's importer turns what has y up: (x, y, z) becomes (x, -z, y)."""
    points = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x, y, z = world_to_gltf(points).unbind(-1)
    assert torch.equal(world_to_blender(points), torch.stack([x, -z, y], dim=-1))
