"""Dataset: rendered objects for a trainer."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch

from zero3d.interfaces.component import Component
from zero3d.interfaces.trainable_denoiser import TrainingBatch


class Dataset(Component):
    """Objects with pictures from known cameras. `prepare` makes or finds them; `batch` draws from them."""

    kind: ClassVar[str] = "dataset"

    @abstractmethod
    def prepare(self, progress: bool = True) -> None:
        """Render, download or index what is missing; resumable, and cheap when all is there."""

    @abstractmethod
    def batch(self, size: int, targets: int, generator: torch.Generator) -> TrainingBatch:
        """`size` objects with `targets` target pictures each, chosen by `generator` alone."""
