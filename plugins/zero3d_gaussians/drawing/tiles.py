"""The kernels of `kernel` as one differentiable operation on the CPU."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from zero3d_gaussians.drawing.dense import LEAST_ALPHA, LEAST_LIGHT, MOST_ALPHA
from zero3d_gaussians.drawing.projection import Ellipses


def composite(
    ellipses: Ellipses, features: Tensor, height: int, width: int, absolute: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """`dense.composite`, many times faster.

    absolute: a leaf of zeros like the centres (B, N, 2); its gradient becomes the sum, over the pixels, of the absolute
    values of what each pixel adds to the gradient of the centres (AbsGS, arXiv 2404.10484).
    """
    order = torch.where(ellipses.visible, ellipses.z.detach(), torch.inf).argsort(dim=1, stable=True)
    out: Tensor = _Tiles.apply(  # type: ignore[no-untyped-call]
        ellipses.means, ellipses.conics, ellipses.opacities, features, absolute, order, height, width
    )
    return out[..., :-1], out[..., -1:]


class _Tiles(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        means: Tensor,
        conics: Tensor,
        opacities: Tensor,
        features: Tensor,
        absolute: Tensor | None,
        order: Tensor,
        height: int,
        width: int,
    ) -> Tensor:
        from zero3d_gaussians.drawing import kernel

        views, count, channels = features.shape
        real = features.detach().numpy().dtype.type
        inputs = [
            part.detach().reshape(views * count, *part.shape[2:]).contiguous().numpy()
            for part in (means, conics, opacities, features)
        ]
        limits = tuple(real(value) for value in (1, 0.5, LEAST_ALPHA, MOST_ALPHA, LEAST_LIGHT))
        boxes = numpy.empty((views * count, 4), numpy.int32)
        total = kernel.frame(*inputs[:3], LEAST_ALPHA, height, width, boxes)
        across, down = -(-width // kernel.TW), -(-height // kernel.TH)
        tiles = across * down
        starts, firsts = numpy.empty(views * tiles + 1, numpy.int64), numpy.empty(views * count + 1, numpy.int64)
        ids, slots = numpy.empty(total, numpy.int32), numpy.empty(total, numpy.int32)
        through = order.numpy() + count * numpy.arange(views)[:, None]
        kernel.bin_tiles(boxes, through, across, down, starts, firsts, ids, slots)
        out = numpy.empty((views, height, width, channels + 1), real)
        ends = numpy.empty(views * tiles, numpy.int64)
        shared = (*inputs, limits, boxes, starts, ids, across, tiles)
        share(lambda worker, workers: kernel.draw(*shared, worker, workers, ends, out))
        ctx.kept = shared, ends, out, slots, firsts
        ctx.shapes = means.shape, conics.shape, opacities.shape, features.shape
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, told: Tensor) -> tuple[Tensor | None, ...]:
        from zero3d_gaussians.drawing import kernel

        shared, ends, out, slots, firsts = ctx.kept
        asked = told.contiguous().numpy()
        pairs = numpy.zeros((len(slots), kernel.MOMENTS + out.shape[-1] - 1), out.dtype)
        wants_absolute = bool(ctx.needs_input_grad[4])
        share(
            lambda worker, workers: kernel.draw_back(
                *shared, worker, workers, ends, out, asked, slots, wants_absolute, pairs
            )
        )
        summed = numpy.empty((len(firsts) - 1, pairs.shape[1]), out.dtype)
        share(lambda worker, workers: kernel.gather(pairs, firsts, worker, workers, summed))
        parts = torch.from_numpy(summed).split([2, 3, 1, 2, pairs.shape[1] - 8], dim=1)
        to_means, to_conics, to_opacities, to_absolute, to_features = parts
        shapes = ctx.shapes
        return (
            to_means.reshape(shapes[0]),
            to_conics.reshape(shapes[1]),
            to_opacities.reshape(shapes[2]),
            to_features.reshape(shapes[3]),
            to_absolute.reshape(shapes[0]) if wants_absolute else None,
            None,
            None,
            None,
        )


def threads() -> int:
    """As many as torch uses, or NUMBA_NUM_THREADS if that is fewer."""
    limit = os.environ.get("NUMBA_NUM_THREADS", "")
    return min(torch.get_num_threads(), int(limit)) if limit.isdigit() and int(limit) else torch.get_num_threads()


def share(work: Any) -> None:
    """`work(worker, workers)` for each of `threads()`, the first in this thread."""
    workers = threads()
    others = [_pool(os.getpid()).submit(work, worker, workers) for worker in range(1, workers)]
    work(0, workers)
    for other in others:
        other.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """A forked process has its own: threads do not follow."""
    return ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="splat")
