"""Placing a mesh as a protocol of evaluation asks before it is compared: frames, turns, searches for a turn, ICP.

Each published protocol has its own, and scores of meshes placed in two ways do not compare. Meshes are trimesh.Trimesh in
world axes (z up) and come back as copies; points are (N, 3) float arrays; turns are rotation matrices (3, 3) for columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy

from zero3d.mesh_files import normalise

Frame = Callable[[numpy.ndarray], tuple[numpy.ndarray, float]]
"""Points (N, 3) -> the centre (3,) that is moved to the origin, and the length that becomes 1."""

SEARCH_POINTS = 4096
"""EscherNet's search for a turn samples so many (metrics/eval_3D_GSO.py)."""
ZEROSHAPE_POINTS = 10_000
"""On each surface, in ZeroShape's evaluation (options/shape.yaml)."""
COARSE_POINTS = 200
"""On each surface while turns are searched coarsely."""
KEPT = 48
"""Of a large set of turns, so many of the best on `COARSE_POINTS` are tried on all points."""
FRAME_POINTS = 1000
"""What the first round measures random points by."""


def box_frame(points: numpy.ndarray) -> tuple[numpy.ndarray, float]:
    """The bounding box centred, its longest side 1 (`normalise`; Zero-1-to-3, SyncDreamer, EscherNet, SV3D)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, float((high - low).max())


def diagonal_frame(points: numpy.ndarray) -> tuple[numpy.ndarray, float]:
    """The bounding box centred, its diagonal 1 (Wonder3D's renders)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, float(numpy.linalg.norm(high - low))


def zeroshape_frame(points: numpy.ndarray) -> tuple[numpy.ndarray, float]:
    """The mean of surface points centred, the longer of the extents along x and y 1 (ZeroShape, utils/eval_3D.py).

    Its x and y are the picture's: it measures in the axes of the camera (x right, y down, z away).
    """
    return points.mean(axis=0), float(numpy.ptp(points[:, :2], axis=0).max())


def placed(mesh: Any, frame: Frame, points: numpy.ndarray | None = None) -> Any:
    """A copy whose frame, of its corners or of the given points of it, is the origin and length 1."""
    centre, length = frame(corners(mesh) if points is None else points)
    moved = mesh.copy()
    moved.vertices = (numpy.asarray(mesh.vertices) - centre) / length
    return moved


def corners(mesh: Any) -> numpy.ndarray:
    """The vertices that a face uses, (N, 3): a box is about these."""
    used: numpy.ndarray = numpy.asarray(mesh.vertices)[numpy.unique(mesh.faces)]
    return used


def turn_about(axis: int, deg: float) -> numpy.ndarray:
    """Counter-clockwise, seen from the end of the axis 0, 1 or 2 (x, y, z)."""
    cosine, sine = numpy.cos(numpy.radians(deg)), numpy.sin(numpy.radians(deg))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    turn = numpy.eye(3)
    turn[one, one] = turn[other, other] = cosine
    turn[other, one], turn[one, other] = sine, -sine
    return turn


def turned(mesh: Any, turn: float | numpy.ndarray) -> Any:
    """A copy turned by a matrix, or by degrees about the vertical (z), counter-clockwise seen from above."""
    matrix = turn if isinstance(turn, numpy.ndarray) else turn_about(2, turn)
    moved = mesh.copy()
    moved.vertices = numpy.asarray(mesh.vertices) @ matrix.T
    return moved


@dataclass(frozen=True)
class Nearest:
    """For each point of a, how far the nearest of b is (Euclidean) and which one it is; `back` from b to a."""

    there: numpy.ndarray
    there_index: numpy.ndarray
    back: numpy.ndarray
    back_index: numpy.ndarray

    @property
    def chamfer(self) -> float:
        """Half the sum of the two mean distances, not squared (SyncDreamer, EscherNet, SV3D, ZeroShape)."""
        return float(self.there.mean() + self.back.mean()) / 2


def nearest(a: numpy.ndarray, b: numpy.ndarray, order: float = 2) -> Nearest:
    """The nearest points between two sets, both ways, by the norm of that order (1 is Manhattan's)."""
    from scipy.spatial import cKDTree

    return Nearest(*cKDTree(b).query(a, p=order), *cKDTree(a).query(b, p=order))


def right_angle_turns() -> list[numpy.ndarray]:
    """Each axis by 0, 90, 180 and 270 degrees, in EscherNet's order; not all 24 of a cube."""
    return [turn_about(axis, deg) for axis in range(3) for deg in (0, 90, 180, 270)]


def zeroshape_turns(azimuths: int = 24, elevations: int = 24, rolls: int = 12) -> list[numpy.ndarray]:
    """ZeroShape's `--eval.brute_force`: every way, in steps of 15, 15 and 30 degrees, that a camera may look at an object.

    About its vertical (z), then into the camera's axes (x right, y down, z away), then about these.
    """
    to_camera = numpy.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]])
    steps = [numpy.arange(count) * 360 / count for count in (azimuths, elevations, rolls)]
    about_y = [turn_about(1, deg) @ to_camera for deg in steps[0]]
    about_x = [turn_about(0, deg) for deg in steps[1]]
    about_z = [turn_about(2, -deg) for deg in steps[2]]
    return [z @ x @ y for y in about_y for x in about_x for z in about_z]


def best_turn(
    points: numpy.ndarray,
    truth: numpy.ndarray,
    turns: Iterable[numpy.ndarray],
    frame: Frame | None = None,
    framed_by: numpy.ndarray | None = None,
) -> tuple[numpy.ndarray, float]:
    """The turn of `points` with the least Chamfer distance to `truth`, and that distance; the first of equals.

    Args:
        frame: if given, what is turned is moved and scaled by it after each turn; `truth` is so already.
        framed_by: the points that the frame looks at; None for `points` themselves.

    Of more than twice `KEPT` turns, all are tried on `COARSE_POINTS` of the points, and the best on all of them. No tree is
    built anew: a turned set is asked for by turning the questions back.
    """
    turns = list(turns)
    if len(turns) > 2 * KEPT:
        measured = _every(points, FRAME_POINTS) if framed_by is None else framed_by
        distance = _distances(_every(points, COARSE_POINTS), _every(truth, COARSE_POINTS), frame, measured)
        turns = [turns[i] for i in numpy.argsort([distance(turn) for turn in turns], kind="stable")[:KEPT]]
    distance = _distances(points, truth, frame, points if framed_by is None else framed_by)
    found = [distance(turn) for turn in turns]
    best = int(numpy.argmin(found))
    return turns[best], found[best]


def _every(points: numpy.ndarray, count: int) -> numpy.ndarray:
    """About `count` of them, evenly taken."""
    return points[:: max(1, len(points) // count)]


def _distances(
    points: numpy.ndarray, truth: numpy.ndarray, frame: Frame | None, about: numpy.ndarray
) -> Callable[[numpy.ndarray], float]:
    """Turn -> Chamfer distance of the turned and framed points to the truth."""
    from scipy.spatial import cKDTree

    tree, true_tree = cKDTree(points), cKDTree(truth)

    def distance(turn: numpy.ndarray) -> float:
        centre, length = frame(about @ turn.T) if frame else (numpy.zeros(3), 1.0)
        there, _ = true_tree.query((points @ turn.T - centre) / length)
        back, _ = tree.query((truth * length + centre) @ turn)
        return float(there.mean() + back.mean() / length) / 2

    return distance


def icp(
    points: numpy.ndarray,
    truth: numpy.ndarray,
    start: numpy.ndarray | None = None,
    iterations: int = 100,
    reach: float = numpy.inf,
    tolerance: float = 1e-6,
) -> numpy.ndarray:
    """The rigid motion (4, 4) that brings `points` onto `truth`, point to point (Besl and McKay 1992), never scaled.

    start: the motion that it begins with. reach: pairs farther apart are left out. It ends when neither the share of pairs
    nor their root mean square distance moves by `tolerance` any more (Open3D's criteria), or after `iterations`.
    """
    from scipy.spatial import cKDTree

    tree, motion = cKDTree(truth), numpy.eye(4) if start is None else numpy.array(start, dtype=float)
    before = (-1.0, -1.0)
    for _ in range(iterations + 1):
        moved = points @ motion[:3, :3].T + motion[:3, 3]
        apart, index = tree.query(moved)
        near = apart <= reach
        if near.sum() < 3:  # nothing to hold on to
            break
        now = (float(near.mean()), float(numpy.sqrt((apart[near] ** 2).mean())))
        if max(abs(a - b) for a, b in zip(now, before, strict=True)) < tolerance:
            break
        before = now
        motion = _rigid(moved[near], truth[index[near]]) @ motion
    return motion


def _rigid(a: numpy.ndarray, b: numpy.ndarray) -> numpy.ndarray:
    """The motion (4, 4) with the least squared distances of pairs (Kabsch 1976), no mirror."""
    u, _, vh = numpy.linalg.svd((a - a.mean(axis=0)).T @ (b - b.mean(axis=0)))
    mirror = numpy.diag([1, 1, numpy.sign(numpy.linalg.det(vh.T @ u.T))])
    motion = numpy.eye(4)
    motion[:3, :3] = vh.T @ mirror @ u.T
    motion[:3, 3] = b.mean(axis=0) - motion[:3, :3] @ a.mean(axis=0)
    return motion


def syncdreamer_truth(mesh: Any, angle_deg: float) -> Any:
    """The true mesh as SyncDreamer's eval_mesh.py places it: normalised first, then turned by minus its listed angle.

    What is scored stays as it is, in the frame of the renders. Not normalised again: a turned box may be longer than 1.
    """
    return turned(normalise(mesh), -angle_deg)


def eschernet_placed(mesh: Any, azimuth_deg: float) -> Any:
    """What is scored as EscherNet's eval_3D_GSO.py places it: normalised, turned by the input's azimuth, normalised."""
    return normalise(turned(normalise(mesh), azimuth_deg))


def right_angled(mesh: Any, truth: Any, seed: int = 0) -> Any:
    """`mesh`, normalised, by the one of `right_angle_turns` nearest to `truth` (EscherNet's way with Point-E, Shap-E)."""
    mesh = normalise(mesh)
    turn, _ = best_turn(*surface_points(mesh, truth, SEARCH_POINTS, seed), right_angle_turns())
    return normalise(turned(mesh, turn))


def sv3d_placed(mesh: Any, truth: Any, azimuth_deg: float, with_icp: bool = False) -> Any:
    """What is scored as SV3D's eval_mesh.py --rigid_align places it: turned by its azimuth minus 90 degrees, normalised.

    azimuth_deg: of frame 20, the reference. With ICP (--icp, which the published scripts leave out) the turn is done twice,
    as there: ICP begins with it, on vertices of unequal size, and then it is applied again.
    """
    turn = turn_about(2, azimuth_deg - 90)
    if not with_icp:
        return normalise(turned(mesh, turn))
    start = numpy.eye(4)
    start[:3, :3] = turn
    motion = icp(corners(mesh), corners(truth), start, reach=0.01)
    moved = mesh.copy()
    moved.apply_transform(start @ motion)
    return normalise(moved)


def zeroshape_placed(mesh: Any, truth: Any, search: bool = False, seed: int = 0) -> tuple[Any, Any]:
    """Both as ZeroShape's eval_3D.py places them: by `zeroshape_frame` of 10,000 points each.

    `truth` is in the camera's axes; so is `mesh`, unless `search`: then its axes may be any, and the one of
    `zeroshape_turns` that brings it nearest to the truth is taken.
    """
    points, true = surface_points(mesh, truth, ZEROSHAPE_POINTS, seed)
    truth = placed(truth, zeroshape_frame, true)
    if search:
        centre, length = zeroshape_frame(true)
        turn, _ = best_turn(points, (true - centre) / length, zeroshape_turns(), zeroshape_frame)
        mesh, points = turned(mesh, turn), points @ turn.T
    return placed(mesh, zeroshape_frame, points), truth


def surface_points(mesh: Any, truth: Any, points: int, seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Random points on each surface, (points, 3) each, uniform by area; never the same ones of the same mesh."""
    import trimesh

    one, other = (trimesh.sample.sample_surface(m, points, seed=seed + k)[0] for k, m in enumerate((mesh, truth)))
    return numpy.asarray(one), numpy.asarray(other)
