"""The CPU side of the fused march: what numba's kernels get, and how threads share the rays.

Which worker draws which ray depends on the number of workers alone, each adds to a gradient of its own, and these are
summed in order: the same threads give the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache, partial
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d_voxels.march import March

PRIVATE_BYTES = 1 << 31
"""The most that the workers' own gradients may take together; fewer work on a larger grid."""


class CpuMarch:
    """One march through one field: its bricks are made once for both passes."""

    def __init__(self, march: March, density: Tensor, features: Tensor, scale: Tensor) -> None:
        """density (1, 1, Z, Y, X), features (1, C, Z, Y, X), `scale` (scalar) of the raw density."""
        from zero3d_voxels import bricks_numba, march_numba, vector_numba

        self.kernels, self.bricks = march_numba, bricks_numba
        self.march, self.shapes = march, (density.shape, features.shape)
        self.read = march.read.numpy()
        self.dtype = density.dtype
        real = density.detach().numpy().dtype
        several = -(-features.shape[1] // vector_numba.LANES) * vector_numba.LANES
        self.lanes = (1, several)
        self.grids = [numpy.empty(self.read.size * bricks_numba.VOXELS * lanes, real) for lanes in self.lanes]
        workers = threads()  # a brick that is not read stays untouched, memory and all
        for grid, bricks, lanes in zip((density, features), self.grids, self.lanes, strict=True):
            flat, sides = grid.detach().contiguous().numpy().ravel(), grid.shape[1:]
            _share(partial(bricks_numba.pack, flat, tuple(sides), self.read, bricks, lanes), workers)
        self.inputs = self._inputs(real.type, float(scale))

    def forward(self) -> tuple[Tensor, ...]:
        """Colour (R, C), opacity (R,), distance (R,), weights (R, S) or (0, 0)."""
        rays, channels = len(self.march.origins), self.shapes[1][1]
        weights = (rays, self.march.samples) if self.march.wants_weights else (0, 0)
        out = [torch.zeros(shape, dtype=self.dtype) for shape in ((rays, channels), (rays,), (rays,), weights)]
        arrays, workers = [part.numpy() for part in out], threads()
        _share(lambda worker, count: self.kernels.forward(*self.inputs, worker, count, *arrays), workers)
        return tuple(out)

    def backward(self, told: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, float]:
        """dL/d density, dL/d features and dL/d log_scale from the gradients of what `forward` returned."""
        workers = max(1, min(threads(), PRIVATE_BYTES // sum(grid.nbytes for grid in self.grids)))
        cotangents = [part.contiguous().numpy() for part in told]
        own = [numpy.empty((workers, len(grid)), grid.dtype) for grid in self.grids]
        for parts, lanes in zip(own, self.lanes, strict=True):
            _share(partial(self.bricks.clear, parts, self.read, lanes), workers)
        scales = _share(
            lambda w, count: self.kernels.backward(*self.inputs, w, count, *cotangents, *(part[w] for part in own)),
            workers,
        )
        totals = [torch.empty(shape, dtype=self.dtype) for shape in self.shapes]
        for parts, total, lanes in zip(own, totals, self.lanes, strict=True):
            flat, sides = total.numpy().ravel(), total.shape[1:]
            _share(partial(self.bricks.unpack, parts, tuple(sides), self.read, flat, lanes), workers)
        return totals[0], totals[1], sum(scales)

    def _inputs(self, real: Any, scale: float) -> tuple[Any, ...]:
        march, (density, features) = self.march, self.grids
        _, high, wide = self.read.shape
        return (
            density,
            features,
            march.origins.numpy(),
            march.directions.numpy(),
            march.spans.numpy(),
            march.starts.numpy(),
            tuple(real(value) for value in march.box),
            (high * wide * self.bricks.VOXELS, wide * self.bricks.VOXELS),
            (real(scale), real(march.density_shift)),
            march.filled.numpy(),
            march.near.numpy(),
            (real(march.step), real(march.weight_threshold), real(march.least_light), march.samples, march.group),
            march.sigmoid,
            _tiles(*march.picture),
        )


def threads() -> int:
    """As many as torch uses, or NUMBA_NUM_THREADS if that is fewer."""
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return min(torch.get_num_threads(), int(limit)) if limit.isdigit() and int(limit) else torch.get_num_threads()


def _share(work: Callable[[int, int], Any], workers: int) -> list[Any]:
    """`work(worker, workers)` for each, the first in this thread."""
    if workers == 1:
        return [work(0, 1)]
    waiting = [_pool(workers - 1).submit(work, worker, workers) for worker in range(1, workers)]
    first = work(0, workers)
    return [first, *(each.result() for each in waiting)]


@lru_cache(8)
def _tiles(views: int, height: int, width: int) -> Any:
    """The numbers of all rays, tile by tile (8 pixels wide, 4 high): neighbours read the same bricks."""
    view, y, x = (axis.ravel() for axis in numpy.indices((views, height, width)))
    return numpy.lexsort([x % 8, y % 4, x // 8, y // 4, view])


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, "march")
