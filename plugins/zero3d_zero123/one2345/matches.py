"""What the four views have in common: SIFT's keypoints, matched where each is the other's nearest.

(One-2-3-45 matches by LoFTR, a network whose weights are its authors'; SIFT is OpenCV's.)
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy

from zero3d.errors import RecipeError
from zero3d_zero123.one2345.search import MOVES_DEG, Tracks

SIDE = 512
"""Pixels that the views are enlarged to: a keypoint needs room around it."""
RATIO = 0.85
"""A keypoint's nearest must be this much nearer than its second nearest (Lowe's test)."""
FURTHEST = 0.3
"""Of the frame's side: no point of an object moves further between two of the views."""
CONTRAST = 0.01
"""Of SIFT: what it leaves out as too flat, a quarter of its default, for teachers' pictures are soft."""


def check_opencv() -> None:
    """Before anything is loaded.

    Raises:
        RecipeError: OpenCV is not installed.
    """
    if importlib.util.find_spec("cv2") is None:
        raise RecipeError("denoiser.elevation: one2345 needs OpenCV: pip install 'zero3d[grabcut]'")


def tracks_of(views: numpy.ndarray) -> list[Tracks]:
    """Views (4, H, H, 3) in [0, 1] on white -> each one's points in the others, itself first and the next one second."""
    found = [_keypoints(view) for view in views]
    count, tracks = len(MOVES_DEG), []
    for start in range(count):
        order = tuple((start + i) % count for i in range(count))
        places = numpy.full((len(found[start][0]), count, 2), numpy.nan)
        places[:, 0] = found[start][0]
        for column, other in enumerate(order[1:], start=1):
            mine, theirs = _mutual(found[start], found[other])
            places[mine, column] = found[other][0][theirs]
        tracks.append(Tracks(places[numpy.isfinite(places[:, 1, 0])], order))
    return tracks


def _keypoints(view: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Places (N, 2), 0 to 1, and RootSIFT descriptors (N, 128) on what is not white."""
    import cv2

    opencv: Any = cv2  # whose own types lack SIFT

    pixels = numpy.round(255 * view.clip(0, 1)).astype(numpy.uint8)
    large: Any = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    shown = cv2.dilate((large.min(axis=-1) < 245).astype(numpy.uint8), numpy.ones((5, 5), numpy.uint8))
    grey = cv2.cvtColor(large, cv2.COLOR_RGB2GRAY)
    points, described = opencv.SIFT_create(2000, contrastThreshold=CONTRAST).detectAndCompute(grey, shown)
    if described is None:
        return numpy.zeros((0, 2)), numpy.zeros((0, 128))
    places = (numpy.array([point.pt for point in points]) + 0.5) / SIDE
    places, first = numpy.unique(places, axis=0, return_index=True)  # a point with two directions counts once
    described = described[first]
    return places, numpy.sqrt(described / (described.sum(axis=1, keepdims=True) + 1e-9))


def _mutual(one: tuple[numpy.ndarray, numpy.ndarray], other: tuple[numpy.ndarray, numpy.ndarray]) -> tuple[Any, Any]:
    """Indices of pairs that are each other's nearest, by a margin, and near each other in the frame."""
    if min(len(one[0]), len(other[0])) < 2:
        return numpy.zeros(0, int), numpy.zeros(0, int)
    distance = numpy.sqrt((2 - 2 * one[1] @ other[1].T).clip(0))
    nearest, back = distance.argmin(axis=1), distance.argmin(axis=0)
    two = numpy.partition(distance, 1, axis=1)[:, :2]
    mine = numpy.arange(len(nearest))
    moved = numpy.linalg.norm(one[0] - other[0][nearest], axis=1)
    kept = (back[nearest] == mine) & (two[:, 0] < RATIO * two[:, 1]) & (moved < FURTHEST)
    return mine[kept], nearest[kept]
