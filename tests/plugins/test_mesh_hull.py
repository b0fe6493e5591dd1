"""The surface ends where the pictures' masks do: silhouettes against the masks themselves, and where masks say nothing."""

import dataclasses
import math

import numpy
import pytest
import torch

from tests.plugins.mesh_fields import INPUT, Field, ball, subject
from zero3d.geometry import orbit, project
from zero3d.mesh_views import MeshScene
from zero3d.values import Picture, PosedPicture, Subject
from zero3d_mesh.cutting.cut import SurfaceConfig, cut_surface
from zero3d_mesh.cutting.hull import BEYOND, _margin, within_masks

SIDE = orbit(0.0, 90.0, 64)
SAMPLES, BOX = 64, 0.75


def disc(camera, size, radius, hole=0.0):
    """A mask that is round about the frame's middle: 1 from `hole` to `radius`, in half-sides of the frame."""
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    away = (x**2 + y**2).sqrt()
    mask = ((away < radius) & (away >= hole)).float()[..., None]
    return PosedPicture(f"{radius}", Picture(torch.ones(size, size, 3), mask), camera.resized(size, size))


def framed(*masks):
    return lambda size: Subject(tuple(disc(camera, size, *round_) for camera, *round_ in masks))


def soft_ball(**changes):
    """A ball of radius 0.4 with a soft edge, so that its surface is the threshold's."""
    field = Field(lambda p: ball(p, 0.4, density=1000.0, edge=0.05), lambda p: torch.full((len(p), 3), 0.5), box=BOX)
    return dataclasses.replace(subject(field), **changes)


def cut(source, **options):
    mesh, _ = cut_surface(source, SurfaceConfig(**{"resolution": SAMPLES, **options}))
    return mesh


def covered(mesh, camera, size=128):
    return MeshScene(mesh).draw(camera.resized(size, size), supersample=2, light=None).opacity[0, ..., 0] > 0.5


def alike(a, b):
    return float((a & b).sum() / (a | b).sum())


def silhouette(camera, radius, hole=0.0, size=128):
    """The mask, and as far beyond it as is let be: BEYOND samples, in half-sides of the frame at the ball."""
    beyond = BEYOND * 2 * BOX / SAMPLES / (2 * math.tan(INPUT.fov / 2))
    return disc(camera, size, radius + beyond, hole and hole - beyond).picture.mask[..., 0] > 0.5


@pytest.mark.parametrize("round_", [(0.3,), (0.35, 0.15)])
def test_from_its_camera_the_surface_covers_the_mask_and_no_more(round_):
    """A ball of radius 0.4 covers 0.45 of the frame's half-side: it is turned to the mask, and a hole goes through it."""
    source = soft_ball(framed_at=framed((INPUT, *round_)))
    wanted = silhouette(INPUT, *round_)
    trimmed, whole = cut(source), cut(source, hull=False)
    assert alike(covered(trimmed, INPUT), wanted) > 0.96
    assert alike(covered(whole, INPUT), wanted) < 0.6
    assert trimmed.is_watertight
    assert trimmed.euler_number == (2 if len(round_) == 1 else 0)


def test_every_picture_counts_from_where_it_was_taken():
    source = soft_ball(framed_at=framed((INPUT, 0.3), (SIDE, 0.25)))
    mesh = cut(source)
    assert alike(covered(mesh, INPUT) & silhouette(INPUT, 0.3), covered(mesh, INPUT)) > 0.97
    assert alike(covered(mesh, SIDE), silhouette(SIDE, 0.25)) > 0.9


def test_a_surface_within_the_mask_is_as_it_was():
    """0.6 of the frame: more than a sample's width away from the ball's outline."""
    source = soft_ball(framed_at=framed((INPUT, 0.6)))
    trimmed, whole = cut(source), cut(source, hull=False)
    assert numpy.array_equal(trimmed.vertices, whole.vertices)
    assert numpy.array_equal(trimmed.faces, whole.faces)


@pytest.mark.parametrize("round_", [(2.0,), (0.0,)])
def test_a_mask_without_an_edge_trims_nothing(round_):
    """A picture that is opaque all over, filled by the ball, and one whose object is too thin to be there at this size."""
    told = []
    source = soft_ball(framed_at=framed((orbit(0.0, 0.0, 64, 0.97), *round_)), tell=told.append)
    assert numpy.array_equal(cut(source).vertices, cut(source, hull=False).vertices)
    assert not any("outline" in line for line in told)
    corner = torch.tensor([[0.0, 0.5, 0.45], [0.0, 0.0, 0.0]])
    assert _margin(corner, disc(INPUT, 64, *round_)).isinf().all()


@pytest.mark.parametrize("changes", [{"framed_at": None}, {"framed_at": lambda size: Subject()}])
def test_without_a_picture_nothing_is_trimmed(changes):
    source = soft_ball(**changes)
    assert numpy.array_equal(cut(source).vertices, cut(source, hull=False).vertices)


def test_a_threshold_that_was_chosen_cuts_the_field_as_it_is():
    source = soft_ball(framed_at=framed((INPUT, 0.3)))
    for threshold in (500.0, "paper"):
        both = [cut(source, threshold=threshold, hull=hull) for hull in (True, False)]
        assert numpy.array_equal(both[0].vertices, both[1].vertices)


def test_masks_of_something_else_trim_nothing_and_are_told():
    told = []
    source = soft_ball(framed_at=framed((INPUT, 0.05)), tell=told.append)
    assert numpy.array_equal(cut(source).vertices, cut(source, hull=False).vertices)
    assert any("outline" in line and "hull" in line for line in told)


def test_beyond_the_frame_a_picture_says_nothing():
    """A camera so near that it sees the middle alone: what lies outside of its frame stays."""
    from zero3d_mesh.cutting.grid import sample_density

    near = orbit(0.0, 0.0, 64, 0.55)
    source = soft_ball(framed_at=framed((near, 2.0)))
    grid = sample_density(source.representation, 32)
    axes = [o + grid.spacing * numpy.arange(n) for o, n in zip(grid.origin, grid.values.shape, strict=True)]
    points = numpy.stack(numpy.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    places, _ = project(torch.from_numpy(points).float(), near)
    outside = (places[0].abs() > 1).any(dim=-1).numpy().reshape(grid.values.shape)
    kept = within_masks(grid, 500.0, source).values
    assert (outside & (grid.values > 500)).any()
    assert numpy.array_equal(kept[outside], grid.values[outside])
