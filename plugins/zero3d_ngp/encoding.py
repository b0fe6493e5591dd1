"""The multiresolution hash encoding: from places in the unit cube to features, interpolated at every level."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

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
        if self._fused and places.is_cuda:
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
    share = scaled - low
    corner = low.long()
    total = places.new_zeros(len(places), FEATURES)
    for number in range(8):
        up = [number >> axis & 1 for axis in range(3)]
        weight = torch.ones_like(share[:, 0])
        for axis in range(3):
            weight = weight * (share[:, axis] if up[axis] else 1 - share[:, axis])
        index = vertex_index(level, corner + corner.new_tensor(up))
        total = total + weight[:, None] * entries.index_select(0, level.start + index).to(places)
    return total


def vertex_index(level: Level, vertex: Tensor) -> Tensor:
    """Which of the level's entries belongs to vertices (N, 3) of whole numbers: (N,)."""
    if level.hashed:
        mixed = [(vertex[:, axis] * PRIMES[axis]) & 0xFFFFFFFF for axis in range(3)]
        index = mixed[0] ^ mixed[1] ^ mixed[2]
    else:
        index = vertex[:, 0] + level.resolution * (vertex[:, 1] + level.resolution * vertex[:, 2])
    return index % level.size
