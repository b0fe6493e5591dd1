"""The elevation under which points seen from four cameras, whose places beside each other are known, agree best.

Zero-1-to-3 turns its camera about the object's vertical axis without being told how that axis lies in the picture. A guess
at the elevation says it, hence where the four cameras are: points that two of them see are triangulated, and must be found
where the others see them. (One-2-3-45, section 3.2 and its code's elevation_estimate; there each view in turn is paired with
the next, and the error is a mean weighted by the matcher's confidence.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from zero3d.geometry import orbit
from zero3d.values import PUBLISHED_FOV, Cameras, ElevationEstimate

MOVES_DEG = ((10.0, 0.0), (-10.0, 0.0), (0.0, -10.0), (0.0, 10.0))
"""Of the four cameras beside the picture's: elevation, azimuth."""
COARSE_DEG = tuple(range(-60, 71, 10))
"""Elevations that are tried first; then those around the best, a degree apart. (The code's are polar, 30 to 150.)"""
LARGEST = 0.03
"""Of the frame's side: an error above this counts as this much, for what was matched wrongly should not decide."""
LEAST = 8
"""Points that each view must have in common with the next and with one further view at least."""
LEAST_STD_DEG = 2.0


@dataclass(frozen=True)
class Tracks:
    """Points of one view and where the others see them: places (N, V, 2) in the frame, 0 to 1, right and down, or NaN.

    The view itself is the first of V, the one that it is paired with the second.
    """

    places: numpy.ndarray
    order: tuple[int, ...]
    """Which of MOVES_DEG each of V is."""


def beside(elevation_deg: float, size: int) -> Cameras:
    """The four cameras of MOVES_DEG by one at this elevation and azimuth 0; distance does not matter."""
    up, across = numpy.array(MOVES_DEG).T
    return orbit(elevation_deg + up, across, size)


def best_elevation(tracks: Sequence[Tracks]) -> ElevationEstimate | None:
    """The elevation of least error over all tracks, and how much the views, each asked alone, differ about it.

    None: too few points are seen from three views.
    """
    if any((numpy.isfinite(t.places).all(axis=-1)[:, 2:].any(axis=1)).sum() < LEAST for t in tracks):
        return None
    coarse = _errors(COARSE_DEG, tracks).sum(axis=1)
    middle = COARSE_DEG[int(coarse.argmin())]
    fine = [e for e in range(middle - 10, middle + 11) if abs(e) < 80]
    errors = _errors(fine, tracks)
    mean = float(fine[int(errors.sum(axis=1).argmin())])
    alone = [fine[int(column.argmin())] for column in errors.T]
    return ElevationEstimate(mean, max(LEAST_STD_DEG, float(numpy.std(alone))))


def _errors(elevations: Sequence[float], tracks: Sequence[Tracks]) -> numpy.ndarray:
    """(elevations, tracks): the mean error of reprojection, in frames."""
    matrices = [_projections(e) for e in elevations]
    return numpy.array([[_error(t.places, m[list(t.order)]) for t in tracks] for m in matrices])


def _projections(elevation_deg: float) -> numpy.ndarray:
    """(4, 3, 4): from the world, homogeneous, to places in the frame, homogeneous."""
    pose = beside(elevation_deg, 1).camera_to_world.double().numpy()
    focal = 0.5 / math.tan(PUBLISHED_FOV / 2)
    camera = numpy.array([[focal, 0, -0.5], [0, -focal, -0.5], [0, 0, -1]])  # OpenGL axes: y up, looking along -z
    projections: numpy.ndarray = camera @ numpy.linalg.inv(pose)[:, :3]
    return projections


def _error(places: numpy.ndarray, projections: numpy.ndarray) -> float:
    """Triangulated from the first two views (by least squares on the homogeneous equations), how far off in the others."""
    rows = places[:, :2, :, None] * projections[None, :2, 2:] - projections[None, :2, :2]  # (N, 2 views, 2, 4)
    point = numpy.linalg.svd(rows.reshape(len(places), 4, 4))[2][:, -1]
    found = numpy.einsum("vij,nj->nvi", projections[2:], point)
    off = numpy.linalg.norm(found[..., :2] / found[..., 2:] - places[:, 2:], axis=-1)
    return float(numpy.nanmean(numpy.minimum(off, LARGEST)))  # a place that is not seen stays NaN
