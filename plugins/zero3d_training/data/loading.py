"""From a component's way to make batch number n to an endless stream, in this process or in worker processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from tqdm import tqdm

from zero3d.errors import RunError, UserError
from zero3d.interfaces import TrainingBatch
from zero3d.processes import end_with_parent
from zero3d.values import Cameras

MOST_MESSAGES = 10
"""Damaged views that are named; the others are only counted."""
TRIES = 20
"""Objects that are tried in a damaged one's place."""
Notes = list[str]


@dataclass(frozen=True)
class Example:
    """One object: the input view and T targets, pictures (1 + T, size, size, 4) and camera-to-world (1 + T, 4, 4)."""

    pictures: Tensor
    poses: Tensor
    seeds: Tensor


def collated(examples: Sequence[Example]) -> TrainingBatch:
    """B examples as a batch."""
    pictures = torch.stack([example.pictures for example in examples])
    poses = torch.stack([example.poses for example in examples])
    size = pictures.shape[2]
    return TrainingBatch(
        input_rgba=pictures[:, 0],
        input_cameras=Cameras(poses[:, 0], size, size),
        target_rgba=pictures[:, 1:].flatten(0, 1),
        target_cameras=Cameras(poses[:, 1:].flatten(0, 1), size, size),
        seeds=torch.cat([example.seeds for example in examples]),
    )


def sample_stream(seed: int, number: int) -> numpy.random.Generator:
    """The random numbers of one sample, by its place in the endless sequence."""
    return numpy.random.default_rng([seed, number])


def drawn_seeds(stream: numpy.random.Generator, targets: int) -> Tensor:
    """What TrainingBatch.seeds wants of one object."""
    return torch.from_numpy(stream.integers(2**62, size=targets))


class Reader(Protocol):
    """One of several that share a process's batches: slot `slot` of `slots` makes batches slot, slot + slots, ..."""

    def read(self, slot: int, slots: int) -> Iterator[tuple[TrainingBatch, Notes]]:
        """Its batches in order, each with what was wrong with views that were skipped."""


class _Stream(IterableDataset[Any]):
    def __init__(self, reader: Reader, slots: int, first: int) -> None:
        self._reader, self._slots, self._first = reader, slots, first

    def __iter__(self) -> Iterator[tuple[TrainingBatch | None, Notes]]:
        worker = get_worker_info()
        own = worker.id if worker else 0
        if worker:
            torch.set_num_threads(1)
        try:
            yield from self._reader.read((own + self._first) % self._slots, self._slots)
        except UserError as error:  # a worker's exception would arrive with its traceback
            yield None, [str(error)]


@dataclass
class Tally:
    """What was skipped so far in this process."""

    skipped: int = 0
    messages: set[str] = field(default_factory=set)

    def note(self, notes: Notes, say: Callable[[str], None]) -> None:
        """Count, and name the first ones."""
        for line in notes:
            self.skipped += 1
            if line not in self.messages and len(self.messages) < MOST_MESSAGES:
                self.messages.add(line)
                say(f"skipped: {line} ({self.skipped} so far)")


def stream(reader: Reader, workers: int, first: int, tally: Tally) -> Iterator[TrainingBatch]:
    """Batches first, first + 1, ... in order; `workers` processes make them ahead of time, 0 makes them here."""
    slots = max(1, workers)
    source: Any = _Stream(reader, slots, first)
    if workers:
        # not fork: the parent may hold CUDA or running threads; forkserver starts each worker from a clean process
        context = "forkserver" if sys.platform != "win32" else "spawn"
        options: dict[str, Any] = {"multiprocessing_context": context, "worker_init_fn": end_with_parent}
        source = DataLoader(source, batch_size=None, num_workers=workers, **options)
    for batch, notes in source:
        if batch is None:
            raise RunError(notes[0])
        tally.note(notes, lambda line: tqdm.write(f"zero3d: {line}", file=sys.stderr))
        yield batch


def nothing_readable(place: str, notes: Notes) -> RunError:
    """The error when one object after the other is damaged."""
    return RunError(f"{place}: {TRIES} objects one after the other cannot be read; the last: {notes[-1]}")
