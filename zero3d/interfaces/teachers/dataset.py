"""Dataset: rendered objects for a trainer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

import torch

from zero3d.interfaces.component import Component
from zero3d.interfaces.teachers.trainable_denoiser import TrainingBatch
from zero3d.random import Generators


@dataclass(frozen=True)
class Share:
    """One process's part of an endless sequence of batches.

    size: objects of a batch, over all processes (a multiple of `world`). targets: views of each. seed: of the order.
    first: number of the batch to begin with. rank: this process, of `world`.
    """

    size: int
    targets: int
    seed: int
    first: int = 0
    rank: int = 0
    world: int = 1


class Dataset(Component):
    """Objects with pictures from known cameras. `prepare` makes or finds them; `batch` draws from them."""

    kind: ClassVar[str] = "dataset"

    @abstractmethod
    def prepare(self, progress: bool = True) -> None:
        """Render, download or index what is missing; resumable, and cheap when all is there."""

    @abstractmethod
    def batch(self, size: int, targets: int, generator: torch.Generator) -> TrainingBatch:
        """`size` objects with `targets` target pictures each, chosen by `generator` alone."""

    def batches(self, share: Share) -> Iterator[TrainingBatch]:
        """This process's parts of the batches share.first, share.first + 1, ... without end.

        A batch depends on its number, not on those before it, so that a resumed run sees the same ones.
        """
        for number in count(share.first):
            generator = Generators(share.seed)[f"batch.{number}"]
            yield self.batch(share.size, share.targets, generator).part(share.rank, share.world)

    def held_out(self, objects: int, targets: int) -> TrainingBatch | None:
        """The first objects that no batch has, for validation, always the same; None if it keeps none apart."""
        return None

    @property
    def skipped(self) -> int:
        """How often a damaged view was passed over so far, in this process."""
        return 0
