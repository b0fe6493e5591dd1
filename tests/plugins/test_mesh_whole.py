"""`threshold: auto` and what belongs together: thin parts, necks, and what the picture shows."""

from dataclasses import replace

import numpy
import pytest
import torch

from tests.plugins.mesh_fields import Field, ball, march, ring, subject
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh
from zero3d.values import Picture
from zero3d_mesh.cutting.grid import sample_density
from zero3d_mesh.cutting.threshold import by_silhouette
from zero3d_mesh.cutting.topology import Silhouette, silhouette
from zero3d_mesh.marching_cubes import MarchingCubes, MarchingCubesConfig

SIDE = orbit(0.0, 0.0, 64)


def pictured(field, threshold=0.5):
    """The field as something to export, with the picture that its own drawing makes."""
    mask = (march(field, SIDE).opacity[0] > threshold).float()
    return replace(subject(field), input_camera=SIDE, picture=Picture(1 - mask.expand(-1, -1, 3), mask))


def handled(points, weak=8.0):
    """A ball and, on its right, a handle (an upright ring of radius 0.3) whose outermost quarter is nearly transparent."""
    apart = torch.stack([(points[:, 1:] - torch.tensor([0.5, 0.0])).norm(dim=-1) - 0.3, points[:, 0]]).norm(dim=0)
    density = torch.where((points[:, 1] - 0.5) > 0.7 * 0.3, weak, 100.0)
    return torch.maximum(ball(points, 0.45), density * ((0.08 - apart) / 0.04 + 0.5).clamp(0, 1))


def exported(field_subject, path, **options):
    report = MarchingCubes(MarchingCubesConfig(resolution=64, **options)).export(field_subject, path)
    return load_mesh(path), report


def test_a_handle_stays_whole(tmp_path):
    mesh, report = exported(pictured(Field(handled)), tmp_path / "mug.glb")
    assert report["threshold"] < 8
    assert (mesh.euler_number, report["components"], report["dropped"]) == (0, 1, 0), "a torus is glued to the ball"
    torn, _ = exported(pictured(Field(handled)), tmp_path / "torn.glb", threshold=12.0)
    assert torn.euler_number == 2, "else the test shows nothing"


def test_without_a_picture_the_fields_own_view_says_what_is_whole():
    field = Field(handled)
    assert by_silhouette(sample_density(field, 64), replace(subject(field), input_camera=SIDE)) < 8


def test_what_the_picture_shows_open_is_opened():
    # a ring about the line of sight, its small hole full of haze that blocks the view
    def density(points, haze=25.0):
        hole = haze * (points[:, 1:].norm(dim=-1) < 0.12) * (points[:, 0].abs() < 0.15)
        return torch.maximum(ring(points[:, [1, 2, 0]], 0.3, 0.2), hole)

    grid, closed = sample_density(Field(density), 64), pictured(Field(density))
    opened = replace(closed, picture=pictured(Field(lambda p: density(p, 0.0))).picture)
    assert by_silhouette(grid, closed) < 25 < by_silhouette(grid, opened)


def test_two_parts_that_are_one_behind_the_other_are_joined_by_their_neck():
    # along the line of sight: no silhouette of the input camera tells that the neck is torn
    def density(points):
        neck = 9.0 * (points[:, 1:].norm(dim=-1) < 0.12) * (points[:, 0].abs() < 0.5)
        return torch.maximum(ball(points, 0.3, (0.42, 0, 0)) + ball(points, 0.3, (-0.42, 0, 0)), neck)

    field = Field(density)
    assert by_silhouette(sample_density(field, 64), pictured(field)) < 9


def test_a_solid_keeps_the_threshold_that_its_silhouettes_choose():
    field = Field(lambda p: ball(p, 0.5))
    grid = sample_density(field, 48)
    holed = pictured(field)
    mask = holed.picture.mask.clone()
    mask[30:34, 30:34] = 0  # a hole that no threshold shows
    odd = replace(holed, picture=Picture(holed.picture.rgb, mask))
    assert by_silhouette(grid, holed) == by_silhouette(grid, odd)


@pytest.mark.parametrize(
    ("boxes", "gaps", "found"),
    [
        ([], [], (0, 0)),
        ([(2, 30, 2, 30)], [], (1, 0)),
        ([(0, 32, 0, 32)], [(10, 20, 10, 20)], (1, 1)),
        ([(2, 14, 2, 14), (14, 26, 14, 26)], [], (1, 0)),  # touching at a corner
        ([(2, 14, 2, 14), (18, 30, 2, 14), (5, 6, 20, 21)], [(6, 10, 6, 10)], (2, 1)),  # and a speck
    ],
)
def test_pieces_and_holes(boxes, gaps, found):
    mask = numpy.zeros((32, 32), bool)
    for value, places in ((True, boxes), (False, gaps)):
        for top, bottom, left, right in places:
            mask[top:bottom, left:right] = value
    assert silhouette(mask) == Silhouette(*found)
    assert silhouette(mask).apart(Silhouette(1, 0)) == abs(found[0] - 1) + found[1]
