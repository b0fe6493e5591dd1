"""Turning one mesh onto another before they are scored, and telling where a turn is missing."""

from __future__ import annotations

from typing import Any

import numpy

from zero3d.mesh_files import normalise
from zero3d.mesh_placing import best_turn, box_frame, corners, icp, nearest, turn_about, turned
from zero3d_metrics.shape import MORE_POINTS, POINTS, Sample, sample

ALIGNMENTS = ("none", "yaw", "icp")
STEP_DEG = 5.0
FINEST_DEG = 0.25
"""The search for a yaw halves its step down to this."""

MUCH_NEARER = 0.7
"""A turn is worth a word where it lowers the Chamfer distance to this share."""


def best_yaw(mesh: Any, truth: Any) -> float:
    """Degrees, in [0, 360), by which turning `mesh` about z brings it nearest to `truth` (Chamfer, 2,000 points).

    After each turn it is normalised again, as `truth` is: a box is another one when what it holds is turned.
    """
    found, true, about = sample(mesh, POINTS, 0).points, sample(truth, POINTS, 1).points, corners(mesh)

    def best_of(yaws: list[float]) -> float:
        turn, _ = best_turn(found, true, [turn_about(2, yaw) for yaw in yaws], box_frame, about)
        return float(numpy.degrees(numpy.arctan2(turn[1, 0], turn[0, 0])))

    best, step = best_of(list(numpy.arange(0, 360, STEP_DEG))), STEP_DEG / 2
    while step >= FINEST_DEG:
        best = best_of([best, best - step, best + step])
        step /= 2
    return best % 360


def aligned(mesh: Any, truth: Any, how: str) -> tuple[Any, dict[str, float]]:
    """`mesh` moved onto `truth` (both normalised), and what was done to it.

    yaw: turned about the vertical and normalised again. icp: from there, moved rigidly, point to point (Besl and McKay
    1992), never scaled. Scores of aligned meshes compare only with scores of meshes aligned in the same way.
    """
    if how == "none":
        return mesh, {}
    yaw = best_yaw(mesh, truth)
    moved, done = normalise(turned(mesh, yaw)), {"align_yaw_deg": yaw}
    if how == "icp":
        matrix = icp(sample(moved, MORE_POINTS, 0).points, sample(truth, MORE_POINTS, 1).points)
        moved.apply_transform(matrix)
        cosine = (numpy.trace(matrix[:3, :3]) - 1) / 2
        done["align_icp_deg"] = float(numpy.degrees(numpy.arccos(numpy.clip(cosine, -1, 1))))
        done["align_icp_shift"] = float(numpy.linalg.norm(matrix[:3, 3]))
    return moved, done


def axes_word(mesh: Any, truth: Any, up: str, yaw_deg: float = 0.0) -> str | None:
    """A line where another vertical axis or a quarter turn would bring the two much nearer; None where all is well.

    `mesh` was read with y as its vertical axis, `truth` with `up`, and then turned by `yaw_deg`. Both are centred and of
    one size.
    """
    found, true = sample(mesh, POINTS, 0), sample(truth, POINTS, 1)
    now = nearest(found.points, true.points).chamfer
    as_read, other = _yawed(true, -yaw_deg), "z" if up == "y" else "y"
    best, word = MUCH_NEARER * now, None
    for yaw in (yaw_deg + quarter for quarter in (0, 90, 180, 270)):
        turn = f"--yaw {yaw % 360:g}"
        for moved, against, said in (
            (
                found,
                _yawed(_other_up(as_read, up), yaw),
                f"the true mesh seems to have {other} up; --up {other} {turn}",
            ),
            (found, _yawed(as_read, yaw), f"the true mesh seems turned; {turn}"),
            (_other_up(found, "y"), _yawed(as_read, yaw), "the mesh that is scored seems to have z up; turning it"),
        ):
            distance = nearest(moved.points, against.points).chamfer
            if distance < best:
                best, word = distance, f"{said} brings the Chamfer distance from {now:.3f} to {distance:.3f}"
    return word


def _other_up(given: Sample, up: str) -> Sample:
    """As if the file, which was read with the axis `up` as its vertical, had been read with the other of y and z."""
    order, signs = ([2, 1, 0], [-1, 1, 1]) if up == "y" else ([2, 1, 0], [1, 1, -1])
    return Sample(given.points[:, order] * signs, given.normals[:, order] * signs)


def _yawed(given: Sample, yaw_deg: float) -> Sample:
    turn = turn_about(2, yaw_deg)
    return Sample(given.points @ turn.T, given.normals @ turn.T)
