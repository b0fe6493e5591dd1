"""The CPU side of the fused march: what numba's kernels get, and how threads share the rays.

Which worker draws which ray depends on the number of workers alone, each adds to a gradient of its own, and these are
summed in order: the same threads give the same bits. Sums of the workers but the first are kept from step to step, all
zero in between, for making them anew costs more than clearing what was touched.
"""

from __future__ import annotations

import math
import os
from functools import lru_cache
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d_voxels.cpu.blocks import Maps, survey
from zero3d_voxels.cpu.helper import helper, share
from zero3d_voxels.march import March

PRIVATE_BYTES = 1 << 31
"""The most that the workers' own gradients may take together; fewer work on a larger grid."""
_CLEAN: list[Any] = []


class CpuMarch:
    """One march through one field, which is read, and whose gradient is made, as it lies in memory."""

    def __init__(self, march: March, density: Tensor, features: Tensor, scale: Tensor) -> None:
        """density (1, 1, Z, Y, X), features (1, C, Z, Y, X), best channels last; the raw density's scale, a scalar."""
        from zero3d_voxels.cpu import march_numba, merge_numba

        self.kernels, self.merge = march_numba, merge_numba.merge
        grid = density.detach()[0, 0].contiguous().numpy()
        self.march, self.dtype = march, density.dtype
        self.shapes = (*grid.shape, 1), (*grid.shape, features.shape[1])
        self.density = grid.ravel()
        self.features = features.detach()[0].permute(1, 2, 3, 0).contiguous().numpy().ravel()
        real = grid.dtype.type
        level = real(float(march.empty_below))
        maps = survey(grid, level)
        self.blocks = maps.ahead.shape
        self.inputs = self._inputs(real, float(scale), level, maps)

    def forward(self, again: bool) -> tuple[Tensor, ...]:
        """Colour (R, C), opacity (R,), distance (R,), weights (R, S) or (0, 0). `again`: `backward` will be called."""
        rays, channels, workers = len(self.march.origins), self.shapes[1][-1], threads()
        weights = (rays, self.march.samples) if self.march.wants_weights else (0, 0)
        out = [torch.zeros(shape, dtype=self.dtype) for shape in ((rays, channels), (rays,), (rays,), weights)]
        arrays = [part.numpy() for part in out]
        self.kept = self.kernels.stretches_of(rays if again else 0)
        share(
            lambda worker, count: self.kernels.forward(
                *self.inputs, self._scratch(1), self.kept, worker, count, *arrays
            ),
            workers,
        )
        # while this thread goes on to what asks for the gradients
        self.cleared = helper(1).start(self._clear) if again and workers > 1 else None
        return tuple(out)

    def backward(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, float]:
        """dL/d density, dL/d features and dL/d log_scale from the gradients of what `forward` returned."""
        size = self.density.nbytes + self.features.nbytes
        workers = max(1, min(threads(), 1 + PRIVATE_BYTES // size))
        cotangents = [part.contiguous().numpy() for part in gradients]
        own = [self.cleared() if self.cleared else self._clear()]
        self.cleared = None  # another backward pass makes its own
        own += [[_clean(len(grid), grid.dtype) for grid in own[0]] for _ in range(1, workers)]
        touched = numpy.zeros((workers, 2, *self.blocks), numpy.uint8)
        flat = touched.reshape(workers, 2, -1)
        waves = self.kernels.most_waves(self.march.samples)
        scales = share(
            lambda worker, count: self.kernels.backward(
                *self.inputs, self._scratch(waves), self.kept, worker, count, *cotangents, *own[worker], flat[worker]
            ),
            workers,
        )

        def merge(worker: int, count: int) -> None:
            near = numpy.empty(touched.shape[-1] + 1, numpy.uint8)
            for parts, blocks in zip(own[1:], touched[1:], strict=True):
                for total, part, shape, marks in zip(own[0], parts, self.shapes, blocks, strict=True):
                    self.merge(total, part, shape[:3], shape[3], marks, near, worker, count)

        if workers > 1:
            share(merge, workers)
            _CLEAN.extend(part for parts in own[1:] for part in parts)
        to_density, to_features = (
            torch.from_numpy(total).reshape(shape).permute(3, 0, 1, 2)[None]
            for total, shape in zip(own[0], self.shapes, strict=True)
        )
        return to_density, to_features, sum(scales)

    def _clear(self) -> list[Any]:
        """Zeros, for the gradients of both grids."""
        return [numpy.zeros(math.prod(shape), self.density.dtype) for shape in self.shapes]

    def _scratch(self, waves: int) -> Any:
        return self.kernels.scratch_of(self.density.dtype, self.shapes[1][-1], self.march.samples, waves)

    def _inputs(self, real: Any, scale: float, level: Any, maps: Maps) -> tuple[Any, ...]:
        march, ahead, cells = self.march, maps.ahead, maps.cells
        return (
            self.density,
            self.features,
            march.origins.numpy(),
            march.directions.numpy(),
            march.spans.numpy(),
            march.starts.numpy(),
            tuple(real(value) for value in march.box),
            (real(scale), real(march.density_shift), level, real(march.thickness)),
            (ahead.ravel(), ahead.shape[:0:-1], cells.ravel(), cells.shape[:0:-1]),
            (real(march.step), real(march.weight_threshold), real(march.least_light), march.samples),
            (0,) * self.shapes[1][-1],
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


@lru_cache(8)
def _tiles(views: int, height: int, width: int) -> Any:
    """The numbers of all rays, tile by tile (8 pixels wide, 4 high): neighbours read the same bricks."""
    view, y, x = (axis.ravel() for axis in numpy.indices((views, height, width)))
    return numpy.lexsort([x % 8, y % 4, x // 8, y // 4, view])
