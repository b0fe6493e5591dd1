"""Adding up the gradients that several workers made, where they are not 0."""

from __future__ import annotations

from typing import Any

from zero3d_voxels.cpu.blocks import BLOCK
from zero3d_voxels.cpu.vector_numba import compiled, index


@compiled(outside=True)
def merge(total: Any, part: Any, sides: Any, width: int, touched: Any, near: Any, worker: int, workers: int) -> None:
    """total += part, and part = 0, at the voxels that may have a gradient; flat grids (Z, Y, X, width).

    sides: Z, Y, X. touched (z, y, x): bytes, 1 for the blocks of which some cell has added to its corners; voxels 4b to
    4b + 3 of an axis are corners of blocks b and b + 1. near (x + 1,): bytes to work with. This worker does its share of
    the rows of blocks.
    """
    depth, height, length = sides
    layers, lines, wide = touched.shape
    for row in range(worker, layers * lines, workers):
        layer, line = row // lines, row % lines
        above, behind = min(layer + 1, layers - 1), min(line + 1, lines - 1)
        a, b, c, d = touched[layer, line], touched[layer, behind], touched[above, line], touched[above, behind]
        some = 0
        for x in range(wide):
            near[x] = a[x] | b[x] | c[x] | d[x]
            some |= near[x]
        near[wide] = 0
        x = 0
        while some and x < wide:
            if not near[x] | near[x + 1]:
                x += 1
                continue
            first = x
            while x < wide and near[x] | near[x + 1]:  # neighbours along x are added in one go
                x += 1
            for z in range(layer * BLOCK, min(layer * BLOCK + BLOCK, depth)):
                for y in range(line * BLOCK, min(line * BLOCK + BLOCK, height)):
                    start = (z * height + y) * length
                    for i in range((start + first * BLOCK) * width, (start + min(x * BLOCK, length)) * width):
                        total[index(i)] += part[index(i)]
                        part[index(i)] = 0
