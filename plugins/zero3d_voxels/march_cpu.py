"""The CPU side of the fused march: what numba's kernels get, and how threads share the rays.

Which worker draws which ray depends on the number of workers alone, each adds to a gradient of its own, and these are
summed in order: the same threads give the same bits. Sums of the workers but the first are kept from step to step, all
zero in between, for making them anew costs more than clearing what was touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d_voxels.blocks import filled_cells, look_ahead, touched_blocks
from zero3d_voxels.march import March

PRIVATE_BYTES = 1 << 31
"""The most that the workers' own gradients may take together; fewer work on a larger grid."""
_CLEAN: list[Any] = []


class CpuMarch:
    """One march through one field, which is read, and whose gradient is made, as it lies in memory."""

    def __init__(self, march: March, density: Tensor, features: Tensor, scale: Tensor) -> None:
        """density (1, 1, Z, Y, X), features (1, C, Z, Y, X), best channels last; the raw density's scale, a scalar."""
        from zero3d_voxels import march_numba, merge_numba

        self.kernels, self.merge = march_numba, merge_numba.merge
        self.march, self.sides, self.channels = march, tuple(density.shape[2:]), features.shape[1]
        self.dtype = density.dtype
        grid = density.detach()[0, 0].contiguous().numpy()
        self.density = grid.ravel()
        self.features = features.detach()[0].permute(1, 2, 3, 0).contiguous().numpy().ravel()
        real = grid.dtype.type
        level = real(float(march.empty_below))
        cells, some, every = filled_cells(grid, level)
        maps = look_ahead(some, every).ravel(), some.shape[:0:-1], cells.view(numpy.uint8).ravel(), cells.shape[:0:-1]
        self.blocks = some.shape
        self.inputs = self._inputs(real, float(scale), level, maps)

    def forward(self) -> tuple[Tensor, ...]:
        """Colour (R, C), opacity (R,), distance (R,), weights (R, S) or (0, 0)."""
        rays = len(self.march.origins)
        weights = (rays, self.march.samples) if self.march.wants_weights else (0, 0)
        out = [torch.zeros(shape, dtype=self.dtype) for shape in ((rays, self.channels), (rays,), (rays,), weights)]
        arrays, workers = [part.numpy() for part in out], threads()
        _share(
            lambda worker, count: self.kernels.forward(*self.inputs, self._scratch(1), worker, count, *arrays), workers
        )
        return tuple(out)

    def backward(self, told: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, float]:
        """dL/d density, dL/d features and dL/d log_scale from the gradients of what `forward` returned."""
        size = self.density.nbytes + self.features.nbytes
        workers = max(1, min(threads(), 1 + PRIVATE_BYTES // size))
        cotangents = [part.contiguous().numpy() for part in told]
        widths = (1, self.channels)
        totals = [torch.zeros(*self.sides, width, dtype=self.dtype) for width in widths]
        own = [[total.numpy().ravel() for total in totals]]
        own += [[_clean(len(grid), grid.dtype) for grid in own[0]] for _ in range(1, workers)]
        told_to = numpy.zeros((workers, 2, *self.blocks), bool)
        flat = told_to.reshape(workers, 2, -1)
        waves = self.kernels.most_waves(self.march.samples)
        scales = _share(
            lambda worker, count: self.kernels.backward(
                *self.inputs, self._scratch(waves), worker, count, *cotangents, *own[worker], flat[worker]
            ),
            workers,
        )
        touched = [[numpy.flatnonzero(touched_blocks(blocks)) for blocks in grids] for grids in told_to[1:]]

        def merge(worker: int, count: int) -> None:
            for parts, grids in zip(own[1:], touched, strict=True):
                for total, part, width, blocks in zip(own[0], parts, widths, grids, strict=True):
                    self.merge(total, part, self.sides, width, blocks, worker, count)

        if workers > 1:
            _share(merge, workers)
            _CLEAN.extend(part for parts in own[1:] for part in parts)
        return totals[0][None, None, ..., 0], totals[1].permute(3, 0, 1, 2)[None], sum(scales)

    def _scratch(self, waves: int) -> Any:
        return self.kernels.scratch_of(self.density.dtype, self.channels, self.march.samples, waves)

    def _inputs(self, real: Any, scale: float, level: Any, maps: Any) -> tuple[Any, ...]:
        march = self.march
        return (
            self.density,
            self.features,
            march.origins.numpy(),
            march.directions.numpy(),
            march.spans.numpy(),
            march.starts.numpy(),
            tuple(real(value) for value in march.box),
            (real(scale), real(march.density_shift), level),
            maps,
            (real(march.step), real(march.weight_threshold), real(march.least_light), march.samples),
            (0,) * self.channels,
            march.sigmoid,
            _tiles(*march.picture),
        )


def _clean(size: int, dtype: Any) -> Any:
    """Zeros that were lent before and came back clean, or new ones; pages that no ray touches take no memory."""
    for index, part in enumerate(_CLEAN):
        if len(part) == size and part.dtype == dtype:
            return _CLEAN.pop(index)
    _CLEAN.clear()  # another field's
    return numpy.zeros(size, dtype)


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
