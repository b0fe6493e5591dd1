"""The moving average of a module's weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Average:
    """Exponential moving average of a module's parameters and buffers; its decay rises from 0.1 to `decay`."""

    def __init__(self, module: nn.Module, decay: float, covers: Callable[[str], bool] = lambda name: True) -> None:
        """`covers`: whether a named tensor is averaged; of the others the last value is kept."""
        self.decay = decay
        self._covers = covers
        self.values = {name: value.detach().clone() for name, value in module.state_dict().items()}

    def update(self, module: nn.Module, step: int) -> None:
        """After optimizer step number `step` (1 is the first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        means, values = [], []
        for name, value in module.state_dict().items():
            if value.is_floating_point() and self._covers(name):
                means.append(self.values[name])
                values.append(value.detach())
            else:
                self.values[name].copy_(value)
        if means:  # at once: a GPU is slow to be told of many small sums
            torch._foreach_lerp_(means, values, 1 - decay)
