"""The published data in .tar shards, shared out over processes and their workers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import numpy
import torch

from zero3d.errors import RecipeError, RunError
from zero3d.interfaces import Dataset, Share, TrainingBatch
from zero3d_training.data.loading import (
    TRIES,
    Example,
    Notes,
    Tally,
    collated,
    drawn_seeds,
    nothing_readable,
    sample_stream,
    stream,
)
from zero3d_training.data.options import ViewsOptions
from zero3d_training.data.paths import split
from zero3d_training.data.picture import DamagedView, Decoder
from zero3d_training.data.tar import TarObject, read_shard, shard_paths


@dataclass
class WebDatasetConfig(ViewsOptions):
    """Options of `webdataset`.

    shards: folder/shard-{000000..000999}.tar, or a .txt with a path a line. shuffle: how many shards are open to be drawn
    from at a time, 1 or more: the buffer whose objects are mixed. The order of shards is drawn anew each epoch.
    """

    shards: str = ""
    shuffle: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shards:
            raise ValueError("shards: missing; folder/shard-{000000..000999}.tar, or a .txt of paths")
        if not 1 <= self.shuffle <= 1000:
            raise ValueError(f"shuffle: {self.shuffle}; 1 to 1000 shards")


class ShardReader:
    """A process's part of each batch, from shards that no other reader of the epoch has; may be sent to a worker."""

    def __init__(self, shards: list[Path], config: WebDatasetConfig, share: Share) -> None:
        self._shards, self._config, self._share = shards, config, share
        self._decoder = Decoder(config.size, config.matte)

    def read(self, slot: int, slots: int) -> Iterator[tuple[TrainingBatch, Notes]]:
        """See `Reader`. To resume, the headers of the shards that are done are read, once each, and nothing else.

        Raises:
            RunError: fewer shards than readers, or nothing readable in them.
        """
        share = self._share
        reader, readers = share.rank * slots + slot, share.world * slots
        if readers > len(self._shards):
            raise RunError(
                f"dataset.shards: {len(self._shards)} for training, but {share.world} process(es) with {slots} "
                f"worker(s) each read one at a time; make more, smaller shards or lower dataset.workers"
            )
        size = share.size // share.world
        done = (share.first - slot + slots - 1) // slots  # batches of this slot before the first
        examples: list[Example] = []
        notes = Notes()
        for place, (group, index) in enumerate(self._order(reader, readers, done * size, notes), start=done * size):
            random = sample_stream(share.seed, place * readers + reader)
            examples.append(self.example(group, index, random, notes))
            if len(examples) == size:
                yield collated(examples), list(notes)
                examples = []
                notes.clear()

    def _order(self, reader: int, readers: int, skip: int, notes: Notes) -> Iterator[tuple[list[TarObject], int]]:
        """This reader's objects without end, each as its group of shards and the place there, but for the first `skip`."""
        share, config = self._share, self._config
        counts: dict[Path, int] = {}
        for epoch in count():
            order = numpy.random.default_rng([share.seed, epoch, 2]).permutation(len(self._shards))[reader::readers]
            seen = 0
            for start in range(0, len(order), config.shuffle):
                shards = [self._shards[index] for index in order[start : start + config.shuffle]]
                if skip and all(shard in counts for shard in shards):
                    total = sum(counts[shard] for shard in shards)
                    seen += total
                    if skip >= total:
                        skip -= total
                        continue
                group: list[TarObject] = []
                for shard in shards:
                    objects, wrong = read_shard(shard, config.views, share.targets + 1)
                    counts[shard] = len(objects)
                    notes += wrong
                    group += objects
                seen += len(group)
                mixed = numpy.random.default_rng([share.seed, epoch, reader, start]).permutation(len(group))
                for index in mixed[min(skip, len(group)) :]:
                    yield group, int(index)
                skip -= min(skip, len(group))
            if not seen:
                raise RunError(f"dataset.shards: {config.shards}: no object that can be read; {'; '.join(notes[-1:])}")

    def example(self, group: list[TarObject], index: int, random: numpy.random.Generator, notes: Notes) -> Example:
        """That object, or where it is damaged the next of its group that is not."""
        targets = self._share.targets
        for attempt in range(TRIES):
            chosen = group[(index + attempt) % len(group)]
            views = random.permutation(sorted(chosen.views))[: targets + 1]
            try:
                read = [chosen.view(int(view), self._decoder) for view in views]
                pictures, poses = (torch.stack(list(part)) for part in zip(*read, strict=True))
                return Example(pictures, poses, drawn_seeds(random, targets))
            except DamagedView as error:
                notes.append(str(error))
        raise nothing_readable(self._config.shards, notes)


class WebDataset(Dataset):
    """Pictures and poses in .tar shards (UID/000.png, 000.npy), shuffled without being listed or loaded."""

    name: ClassVar[str] = "webdataset"
    Config: ClassVar[type[Any]] = WebDatasetConfig

    def __init__(self, config: WebDatasetConfig) -> None:
        super().__init__(config)
        self._shards: list[Path] = []
        self._tally = Tally()

    def prepare(self, progress: bool = True) -> None:
        """Know the shards' names, and that the first is there.

        Raises:
            RecipeError: no such shard, or a pattern that names none.
        """
        self._shards = shard_paths(self.config.shards)
        if not self._shards[0].is_file():
            raise RecipeError(f"dataset.shards: {self._shards[0]}: no such file; the first shard must be there")

    @property
    def training(self) -> list[Path]:
        """All shards but the last hundredth; a single one is for training."""
        return self._shards[: max(1, split(len(self._shards)))]

    def batch(self, size: int, targets: int, generator: torch.Generator) -> TrainingBatch:
        seed = int(torch.randint(2**31, (1,), generator=generator))
        share = Share(size, targets, seed)
        return next(ShardReader(self.training, self.config, share).read(0, 1))[0]

    def batches(self, share: Share) -> Iterator[TrainingBatch]:
        return stream(ShardReader(self.training, self.config, share), self.config.workers, share.first, self._tally)

    def held_out(self, objects: int, targets: int) -> TrainingBatch | None:
        shards = self._shards[len(self.training) :]
        if not shards:
            return None
        reader = ShardReader(shards[:1], self.config, Share(objects, targets, seed=0))
        found, notes = read_shard(shards[0], self.config.views, targets + 1)
        if not found:
            raise RunError(f"dataset.shards: {shards[0]}: held out, but {'; '.join(notes) or 'it is empty'}")
        rows = range(min(objects, len(found)))
        return collated([reader.example(found, row, sample_stream(0, row), notes) for row in rows])

    @property
    def skipped(self) -> int:
        return self._tally.skipped
