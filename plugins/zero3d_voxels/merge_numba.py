"""Adding up the gradients that several workers made, where they are not 0."""

from __future__ import annotations

from typing import Any

from zero3d_voxels.vector_numba import compiled


@compiled()
def merge(
    total: Any, part: Any, starts: Any, touched: Any, across: int, length: int, worker: int, workers: int
) -> None:
    """total += part, and part = 0, over the stretches that rays can have touched; all flat.

    The grid is rows of `length` numbers; starts[r] is where row r's blocks start in `touched`, of `across` numbers each.
    This worker does each `workers`-th row.
    """
    for row in range(worker, len(starts), workers):
        first = starts[row]
        begin = row * length
        end = begin + length
        while begin < end:
            stop = begin
            while stop < end and touched[first]:
                stop += across
                first += 1
            for i in range(begin, min(stop, end)):
                total[i] += part[i]
                part[i] = 0
            begin = stop + across  # past the block that ended the stretch
            first += 1
