"""Named random generators: every stream of a run is its own, so that adding a part changes no other's numbers."""

from __future__ import annotations

import zlib

import torch
from torch import Tensor


class Generators:
    """CPU generators by name, each seeded from (seed, name). CPU, so that a seed means the same on every device."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._streams: dict[str, torch.Generator] = {}

    def __getitem__(self, name: str) -> torch.Generator:
        if name not in self._streams:
            mixed = (self.seed * 0x9E3779B1 + zlib.crc32(name.encode())) % 2**63
            self._streams[name] = torch.Generator().manual_seed(mixed)
        return self._streams[name]

    def state_dict(self) -> dict[str, Tensor]:
        """Name -> the generator's state (uint8), for an exact resume."""
        return {name: generator.get_state() for name, generator in self._streams.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Set every named stream to its saved state."""
        for name, value in state.items():
            self[name].set_state(value)
