"""The multiresolution hash encoding: from places in the unit cube to features, interpolated at every level."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from zero3d import UserError
from zero3d_ngp.levels import Level, make_levels

PRIMES = (1, 2654435761, 805459861)
"""The hash of a vertex is the exclusive or of its coordinates times these, in 32 bits (section 3, equation 4)."""
FEATURES = 2
"""Numbers an entry holds."""


class HashEncoding(nn.Module):
    """Places (N, 3) in [0, 1] -> (N, levels * FEATURES), differentiable in the table and the places.

    `table` is flat, level by level, as the `params` of tinycudann.Encoding. On a CUDA device tinycudann reads it if
    `fused`; else PyTorch does the same.
    """

    def __init__(self, levels: int, base: int, growth: float, log2_size: int, fused: bool) -> None:
        super().__init__()
        self.levels = make_levels(levels, base, growth, log2_size)
        self.width = levels * FEATURES
        self.table = nn.Parameter(torch.zeros(sum(level.size for level in self.levels) * FEATURES))
        self._fused = fused
        self._options = {
            "otype": "HashGrid",
            "n_levels": levels,
            "n_features_per_level": FEATURES,
            "log2_hashmap_size": log2_size,
            "base_resolution": base,
            "per_level_scale": growth,
        }
        self._kernel: list[Any] = []  # in a list, so that it is no part of the state

    def forward(self, places: Tensor) -> Tensor:
        size = (self.levels[-1].start + self.levels[-1].size) * FEATURES
        if self.table.shape != (size,):  # its kernels would read beyond another
            raise UserError(
                f"representation hash_grid: its table is {tuple(self.table.shape)}, its options say ({size},)"
            )
        if self._fused and places.is_cuda and len(places):  # its kernels take no batch of none
            return self._with_tinycudann(places)
        entries = self.table.reshape(-1, FEATURES)
        return torch.cat([_read(entries, level, places) for level in self.levels], dim=-1)

    def _with_tinycudann(self, places: Tensor) -> Tensor:
        import tinycudann

        if not self._kernel:
            self._kernel.append(tinycudann.Encoding(3, self._options, dtype=torch.float32).to(places.device))
        read: Tensor = functional_call(self._kernel[0], {"params": self.table}, (places.float(),))
        return read.to(places)


def _read(entries: Tensor, level: Level, places: Tensor) -> Tensor:
    """(N, FEATURES) of one level, interpolated between the eight vertices around each place."""
    scaled = places * level.scale + 0.5
    low = scaled.detach().floor()
    share = (scaled - low).T
    corner = low.long().T
    # per axis: the part of the index and the weight of the lower and of the upper vertices
    parts = [[_part(level, axis, corner[axis] + up) for up in (0, 1)] for axis in range(3)]
    weights = [[1 - share[axis], share[axis]] for axis in range(3)]
    total = places.new_zeros(len(places), FEATURES)
    for y, z in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = weights[1][y] * weights[2][z]
        for x in (0, 1):
            index = level.start + _together(level, parts[0][x], parts[1][y], parts[2][z])
            total = total + (weight * weights[0][x])[:, None] * entries.index_select(0, index).to(places)
    return total


def vertex_index(level: Level, vertex: Tensor) -> Tensor:
    """Which of the level's entries belongs to vertices (N, 3) of whole numbers: (N,)."""
    return _together(level, *(_part(level, axis, vertex[:, axis]) for axis in range(3)))


def _part(level: Level, axis: int, coordinate: Tensor) -> Tensor:
    return coordinate * (PRIMES[axis] if level.hashed else level.resolution**axis)


def _together(level: Level, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    if level.hashed:
        return (x ^ y ^ z) & (level.size - 1)  # a power of 2 then, so that the bits above the 32nd count for nothing
    return (x + y + z) % level.size
