"""Ray-cast pictures of meshes against closed forms."""

import math

import numpy
import pytest
import torch
import trimesh

from zero3d.geometry import orbit, project, rays
from zero3d.mesh_views import AMBIENT, LIGHT, MeshScene
from zero3d.values import FAR

RADIUS = 0.5


@pytest.fixture(scope="module")
def ball():
    """5 subdivisions: no face lies more than 0.001 below the sphere."""
    return MeshScene(trimesh.creation.icosphere(5, radius=RADIUS))


def chord(cameras):
    """Distance of each ray from the origin, and along it to the sphere's front (nan where it misses)."""
    origins, directions = (part.double() for part in rays(cameras))
    along = -(origins * directions).sum(dim=-1)
    apart = (origins + along[..., None] * directions).norm(dim=-1)
    return apart, along - (RADIUS**2 - apart**2).sqrt()


def test_sphere_silhouette_and_depth(ball):
    cameras = orbit(torch.tensor([20.0, -50.0]), torch.tensor([0.0, 130.0]), 48)
    view = ball.draw(cameras, supersample=1)
    apart, front = chord(cameras)
    clear = (apart - RADIUS).abs() > 0.003
    assert view.image.shape == (2, 48, 48, 3)
    assert ((view.opacity[..., 0] > 0.5) == (apart < RADIUS))[clear].all()
    inner = apart < 0.9 * RADIUS
    torch.testing.assert_close(view.depth[..., 0][inner].double(), front[inner], atol=3e-3, rtol=0)
    outer = apart > RADIUS + 0.003
    assert (view.depth[..., 0][outer] == FAR).all()
    assert (view.image[outer] == 1).all()


def test_the_silhouettes_area_is_the_cones(ball):
    # a sphere seen from distance d covers the disc tan(asin(r / d)) on the image plane
    cameras = orbit(0.0, 0.0, 64)
    covered = float(ball.draw(cameras, supersample=4).opacity.mean())
    half = math.tan(cameras.fov / 2)
    assert covered == pytest.approx(math.pi * (math.tan(math.asin(RADIUS / 2.0)) / (2 * half)) ** 2, rel=2e-3)


def test_each_face_of_a_cube_is_seen_from_its_side():
    cube = trimesh.creation.box(extents=[1, 1, 1])
    directions = {(1, 0, 0): 10, (-1, 0, 0): 40, (0, 1, 0): 70, (0, -1, 0): 100, (0, 0, 1): 130, (0, 0, -1): 160}
    colours = [[directions[tuple(normal)]] * 3 for normal in numpy.round(cube.face_normals).astype(int).tolist()]
    cube.visual.face_colors = numpy.array(colours, numpy.uint8)
    for (x, y, z), value in directions.items():
        camera = orbit(90.0 * z, math.degrees(math.atan2(y, x)), 33)
        view = MeshScene(cube).draw(camera, light=None)
        assert float(view.image[0, 16, 16, 0]) * 255 == pytest.approx(value, abs=0.01)
        assert float(view.depth[0, 16, 16, 0]) == pytest.approx(1.5, abs=1e-3)


def test_vertex_colours_are_interpolated():
    # a wall at x = 0 whose colour is its place: red = y + 0.5, green = z + 0.5
    corners = numpy.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]])
    colours = numpy.zeros((4, 3), numpy.uint8)
    colours[:, :2] = 255 * (corners[:, 1:] + 0.5)
    wall = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], vertex_colors=colours, process=False)
    camera = orbit(0.0, 0.0, 65)
    image = MeshScene(wall).draw(camera, supersample=1, light=None).image[0]
    point = torch.tensor([[0.0, 0.2, -0.3]])
    column, row = ((project(point, camera)[0][0, 0] + 1) * 65 / 2).floor().int().tolist()
    assert image[row, column].tolist() == pytest.approx([0.7, 0.2, 0.0], abs=0.03)


def test_the_light_stays_where_it_is():
    ball = MeshScene(trimesh.creation.icosphere(5, radius=RADIUS))
    elevation = math.degrees(math.asin(LIGHT[2]))
    azimuth = math.degrees(math.atan2(LIGHT[1], LIGHT[0]))
    grey = 102 / 255  # trimesh's own colour
    towards = ball.draw(orbit(elevation, azimuth, 33)).image[0, 16, 16, 0]
    behind = ball.draw(orbit(-elevation, azimuth + 180, 33)).image[0, 16, 16, 0]
    assert float(towards) == pytest.approx(grey, abs=0.002)
    assert float(behind) == pytest.approx(grey * AMBIENT, abs=0.002)


def test_a_texture_is_asked_at_the_surface(ball):
    cameras = orbit(20.0, 40.0, 32)
    seen = []

    def places(points, colours):
        seen.append(points)
        return (points + 0.5).clip(0, 1)

    image = ball.draw(cameras, supersample=1, light=None, texture=places).image[0]
    assert numpy.linalg.norm(numpy.concatenate(seen), axis=1) == pytest.approx(RADIUS, abs=2e-3)
    apart, front = chord(cameras)
    origins, directions = (part.double() for part in rays(cameras))
    expected = (origins + directions * front[..., None])[0] + 0.5
    inner = (apart < 0.9 * RADIUS)[0]
    torch.testing.assert_close(image[inner].double(), expected[inner], atol=4e-3, rtol=0)
