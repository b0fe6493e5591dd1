"""Placing meshes: turns against closed forms, searches that find what was done, ICP, the protocols' orders."""

import numpy
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from zero3d.mesh_files import normalise
from zero3d.mesh_placing import (
    best_turn,
    corners,
    diagonal_frame,
    eschernet_placed,
    icp,
    nearest,
    placed,
    right_angle_turns,
    right_angled,
    sv3d_placed,
    syncdreamer_truth,
    turn_about,
    turned,
    zeroshape_frame,
    zeroshape_placed,
    zeroshape_turns,
)


@pytest.fixture(scope="module")
def shape():
    """Without any symmetry, away from the origin."""
    parts = [trimesh.creation.box(extents=size) for size in ((1.0, 0.3, 0.2), (0.2, 0.5, 0.3), (0.3, 0.2, 0.7))]
    parts[1].apply_translation((0.4, 0.3, 0))
    parts[2].apply_translation((-0.3, 0.1, 0.3))
    whole = trimesh.util.concatenate(parts)
    whole.apply_translation((1, 2, 3))
    return whole


def surface(mesh, count, seed):
    return numpy.asarray(trimesh.sample.sample_surface(mesh, count, seed=seed)[0])


def apart(mesh, truth):
    """0 where two meshes of the same corners lie on each other."""
    return float(abs(numpy.asarray(mesh.vertices) - numpy.asarray(truth.vertices)).max())


def test_turns_are_counter_clockwise_about_each_axis():
    for axis, name in enumerate("xyz"):
        numpy.testing.assert_allclose(turn_about(axis, 37), Rotation.from_euler(name, 37, degrees=True).as_matrix())


def test_frames(shape):
    box = placed(shape, diagonal_frame)
    assert numpy.linalg.norm(box.extents) == pytest.approx(1)
    assert abs(box.bounds.sum(axis=0)).max() < 1e-12
    points = surface(shape, 500, 0)
    centre, length = zeroshape_frame(points)
    numpy.testing.assert_allclose(centre, points.mean(axis=0))
    assert length == numpy.ptp(points, axis=0)[:2].max()
    loose = trimesh.Trimesh([*shape.vertices, (99, 99, 99)], shape.faces, process=False)  # a corner that nothing uses
    assert len(corners(loose)) == len(shape.vertices)


def test_nearest_by_hand():
    a, b = numpy.array([[0.0, 0, 0], [4, 0, 0]]), numpy.array([[0.0, 1, 1]])
    pairs = nearest(a, b)
    numpy.testing.assert_allclose(pairs.there, [2**0.5, 18**0.5])
    assert pairs.back_index.tolist() == [0]
    assert pairs.chamfer == pytest.approx((2**0.5 / 2 + 18**0.5 / 2 + 2**0.5) / 2)
    numpy.testing.assert_allclose(nearest(a, b, order=1).there, [2, 6])


def test_a_search_tells_the_distance_of_what_it_found(shape):
    """As turning, framing and asking anew would tell it."""
    points, truth = surface(shape, 300, 0), surface(placed(shape, zeroshape_frame), 300, 1)
    turn, distance = best_turn(points, truth, zeroshape_turns(3, 3, 2), zeroshape_frame)
    every = []
    for other in zeroshape_turns(3, 3, 2):
        moved = points @ other.T
        centre, length = zeroshape_frame(moved)
        every.append(nearest((moved - centre) / length, truth).chamfer)
    assert distance == pytest.approx(min(every), abs=1e-12)
    numpy.testing.assert_array_equal(turn, zeroshape_turns(3, 3, 2)[int(numpy.argmin(every))])


def test_zeroshapes_turns_are_6912_rotations_and_reach_every_pose():
    turns = numpy.stack(zeroshape_turns())
    assert turns.shape == (24 * 24 * 12, 3, 3)
    numpy.testing.assert_allclose(
        turns @ turns.transpose(0, 2, 1), numpy.broadcast_to(numpy.eye(3), turns.shape), atol=1e-12
    )
    numpy.testing.assert_allclose(numpy.linalg.det(turns), 1)
    numpy.testing.assert_allclose(turns[0] @ (0, 0, 1), (0, -1, 0))  # up is down in a picture's axes
    for pose in Rotation.random(20, random_state=0).as_matrix():
        cosine = (numpy.trace(turns @ pose.T, axis1=1, axis2=2).max() - 1) / 2
        assert numpy.degrees(numpy.arccos(cosine)) < 20


def test_zeroshapes_search_undoes_a_turn_of_its_set(shape):
    turn = zeroshape_turns()[3000]
    mesh, truth = zeroshape_placed(shape, turned(shape, turn), search=True)
    assert apart(mesh, truth) < 0.03  # two samples differ in their means and extents
    straight, truth = zeroshape_placed(turned(shape, turn), turned(shape, turn))
    assert apart(straight, truth) < 0.03


def test_the_right_angles_are_ten_different_ones(shape):
    turns = right_angle_turns()
    assert len(turns) == 12
    assert len({turn.round().astype(int).tobytes() for turn in turns}) == 10
    for turn in (turns[1], turns[7], turns[10]):
        assert apart(right_angled(turned(shape, turn.T), normalise(shape)), normalise(shape)) < 1e-9


def test_icp_undoes_a_rigid_motion_and_never_scales():
    points = numpy.random.default_rng(0).normal(size=(400, 3))
    motion = numpy.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", (4, -6, 5), degrees=True).as_matrix()
    motion[:3, 3] = (0.05, -0.02, 0.04)
    found = icp(points, points @ motion[:3, :3].T + motion[:3, 3], tolerance=1e-12)
    numpy.testing.assert_allclose(found, motion, atol=1e-9)
    numpy.testing.assert_allclose(numpy.linalg.det(icp(points, 1.3 * points)[:3, :3]), 1)
    start = motion.copy()
    numpy.testing.assert_array_equal(
        icp(points, points + 9, start, reach=0.01), start
    )  # none within reach: as it began


def test_the_protocols_orders(shape):
    normal = normalise(shape)
    numpy.testing.assert_allclose(
        syncdreamer_truth(shape, 270).vertices, numpy.asarray(normal.vertices) @ turn_about(2, -270).T
    )
    assert syncdreamer_truth(shape, 45).extents.max() > 1.01  # turned after it was normalised, and not again
    assert eschernet_placed(shape, 45).extents.max() == pytest.approx(1)
    assert apart(sv3d_placed(shape, normal, 90), normal) < 1e-12
    # its ICP begins at the turn and the turn is applied again: 30 degrees become 60
    twice = sv3d_placed(normal, turned(normal, 30), 120, with_icp=True)
    assert apart(twice, normalise(turned(normal, 60))) < 1e-6
