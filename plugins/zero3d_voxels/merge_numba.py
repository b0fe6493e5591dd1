"""Adding up the gradients that several workers made, where they are not 0."""

from __future__ import annotations

from typing import Any

from zero3d_voxels.blocks import BLOCK
from zero3d_voxels.vector_numba import compiled


@compiled(outside=True)
def merge(total: Any, part: Any, sides: Any, width: int, blocks: Any, worker: int, workers: int) -> None:
    """total += part, and part = 0, in blocks of voxels; flat grids (Z, Y, X, width).

    sides: Z, Y, X. blocks (K,): their numbers, rising, where z counts most. This worker does its share of them.
    """
    depth, height, length = sides
    high, wide = height // BLOCK + 1, length // BLOCK + 1
    at, stop = len(blocks) * worker // workers, len(blocks) * (worker + 1) // workers
    while at < stop:
        first = blocks[at]
        many = 1  # neighbours along x are added in one go
        while at + many < stop and blocks[at + many] == first + many and (first + many) % wide:
            many += 1
        at += many
        x, line = first % wide * BLOCK, first // wide
        y, z = line % high * BLOCK, line // high * BLOCK
        for a in range(z, min(z + BLOCK, depth)):
            for b in range(y, min(y + BLOCK, height)):
                start = (a * height + b) * length
                for i in range((start + x) * width, (start + min(x + many * BLOCK, length)) * width):
                    total[i] += part[i]
                    part[i] = 0
