"""Sums over the Gaussians near a point, by a grid of lists; compiled by numba. Import it where it is used."""

from __future__ import annotations

from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d_gaussians.drawing.kernel import compiled, exponential
from zero3d_gaussians.drawing.tiles import share

CELLS = 48
"""Along each axis, at most."""
ENTRIES = 2**23
"""In all lists together; a coarser grid has fewer."""


def summed(means: Tensor, inverses: Tensor, columns: Tensor, points: Tensor, reach: float) -> Tensor:
    """`density._everywhere`, asking only those nearby: each ends at `reach` standard deviations. (P, F)"""
    # an ellipsoid's bounding box: the rows of inverses are axes divided by their squared lengths
    axes = inverses.detach() / inverses.detach().square().sum(dim=-1, keepdim=True)
    half = (reach * axes.square().sum(dim=1).sqrt()).numpy()
    centres, whitening, values, places = (
        part.detach().contiguous().numpy() for part in (means, inverses, columns, points)
    )
    low, high = places.min(axis=0), places.max(axis=0)
    side, cells = float(max((high - low).max(), 1e-6)), CELLS
    while True:
        first, last = (_cells(centres + sign * half, low, side, cells) for sign in (-1, 1))
        outside = (centres + half < low).any(axis=1) | (centres - half > high).any(axis=1)
        counts = numpy.where(outside, 0, (last - first + 1).prod(axis=1))
        if counts.sum() <= ENTRIES or cells == 1:
            break
        cells = max(1, cells // 2)
    starts, ids = numpy.empty(cells**3 + 1, numpy.int64), numpy.empty(int(counts.sum()), numpy.int32)
    fill_lists(first, last, outside, cells, starts, ids)
    where = _cells(places, low, side, cells) @ numpy.array([cells * cells, cells, 1])
    out = numpy.zeros((len(places), values.shape[1]), values.dtype)
    real, end = values.dtype.type, values.dtype.type(reach**2)
    share(
        lambda worker, workers: add_up(
            centres, whitening, values, places, where, starts, ids, real(0.5), end, worker, workers, out
        )
    )
    return torch.from_numpy(out)


def _cells(places: Any, low: Any, side: float, cells: int) -> Any:
    """(M, 3) world units -> the cells they are in, or the nearest ones."""
    return numpy.clip((places - low) * (cells / side), 0, cells - 1).astype(numpy.int64)


@compiled
def fill_lists(first: Any, last: Any, outside: Any, cells: int, starts: Any, ids: Any) -> None:
    """The Gaussians that reach each cell: those of cell c are ids[starts[c]] to ids[starts[c + 1]], in their order."""
    starts[:] = 0
    for g in range(len(first)):
        if not outside[g]:
            for i in range(first[g, 0], last[g, 0] + 1):
                for j in range(first[g, 1], last[g, 1] + 1):
                    for k in range(first[g, 2], last[g, 2] + 1):
                        starts[(i * cells + j) * cells + k + 1] += 1
    for c in range(len(starts) - 1):
        starts[c + 1] += starts[c]
    fill = starts[:-1].copy()
    for g in range(len(first)):
        if not outside[g]:
            for i in range(first[g, 0], last[g, 0] + 1):
                for j in range(first[g, 1], last[g, 1] + 1):
                    for k in range(first[g, 2], last[g, 2] + 1):
                        c = (i * cells + j) * cells + k
                        ids[fill[c]] = g
                        fill[c] += 1


@compiled
def add_up(
    means: Any,
    inverses: Any,
    values: Any,
    points: Any,
    where: Any,
    starts: Any,
    ids: Any,
    half: Any,
    end: Any,
    worker: int,
    workers: int,
    out: Any,
) -> None:
    """out[p] = the sum of values by exp(-half square), of the Gaussians of the point's cell nearer than `end`."""
    for p in range(worker, len(points), workers):
        cell = where[p]
        for k in range(starts[cell], starts[cell + 1]):
            g = ids[k]
            x, y, z = points[p, 0] - means[g, 0], points[p, 1] - means[g, 1], points[p, 2] - means[g, 2]
            square = half - half
            for row in range(3):
                along = inverses[g, row, 0] * x + inverses[g, row, 1] * y + inverses[g, row, 2] * z
                square += along * along
            if square < end:
                weight = exponential(-half * square)
                for f in range(values.shape[1]):
                    out[p, f] += weight * values[g, f]
