"""Folders as the published data: ROOT/valid_paths.json, ROOT/UID/000.png, 000.npy, 001.png, ..."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import numpy
import torch

from zero3d.errors import RecipeError
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
from zero3d_training.data.paths import Names, read_names, split
from zero3d_training.data.picture import DamagedView, Decoder


@dataclass
class ViewsFolderConfig(ViewsOptions):
    """Options of `views_folder`.

    root: the folder that holds valid_paths.json, as released with the paper or written by `zero3d dataset render`.
    """

    root: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.root:
            raise ValueError("root: missing; the folder that holds valid_paths.json")


@dataclass(frozen=True)
class Objects:
    """Reads objects `low` to `high` (not included) of a folder; may be sent to a worker process."""

    root: Path
    names: Names
    low: int
    high: int
    views: int
    decoder: Decoder

    def example(self, index: int, stream: numpy.random.Generator, targets: int, notes: Notes) -> Example:
        """Object `low + index` from 1 + `targets` views; one that cannot be read is noted, and another taken.

        Raises:
            RunError: one object after the other cannot be read.
        """
        for _ in range(TRIES):
            uid = self.names[self.low + index]
            chosen = stream.permutation(self.views)[: targets + 1]
            try:
                views = [self._view(uid, int(view)) for view in chosen]
                pictures, poses = (torch.stack(list(part)) for part in zip(*views, strict=True))
                return Example(pictures, poses, drawn_seeds(stream, targets))
            except DamagedView as error:
                notes.append(str(error))
                index = int(stream.integers(self.high - self.low))
        raise nothing_readable(str(self.root), notes)

    def _view(self, uid: str, view: int) -> Any:
        stem = self.root / uid / f"{view:03d}"
        try:
            return self.decoder.view(stem.with_suffix(".png").read_bytes(), stem.with_suffix(".npy").read_bytes())
        except OSError as error:
            raise DamagedView(f"{error.filename}: {error.strerror}") from None
        except DamagedView as error:
            raise DamagedView(f"{stem}: {error}") from None


@dataclass(frozen=True)
class ShareReader:
    """A process's part of each batch: sample n of the endless sequence is the (n mod N)-th of a shuffle of its epoch."""

    objects: Objects
    share: Share

    def read(self, slot: int, slots: int) -> Iterator[tuple[TrainingBatch, Notes]]:
        """See `Reader`."""
        share = self.share
        epoch, order = -1, numpy.empty(0, dtype=numpy.int64)
        total, own = self.objects.high - self.objects.low, share.size // share.world
        begin = share.first + (slot - share.first) % slots
        for number in count(begin, slots):
            examples, notes = [], Notes()
            for sample in range(number * share.size + share.rank * own, number * share.size + (share.rank + 1) * own):
                if sample // total != epoch:
                    epoch = sample // total
                    order = numpy.random.default_rng([share.seed, epoch, 1]).permutation(total)
                random = sample_stream(share.seed, sample)
                examples.append(self.objects.example(int(order[sample % total]), random, share.targets, notes))
            yield collated(examples), notes


class ViewsFolder(Dataset):
    """Pictures and poses in the published layout: a folder an object, named in valid_paths.json."""

    name: ClassVar[str] = "views_folder"
    Config: ClassVar[type[Any]] = ViewsFolderConfig

    def __init__(self, config: ViewsFolderConfig) -> None:
        super().__init__(config)
        self._names: Names | None = None
        self._tally = Tally()

    def prepare(self, progress: bool = True) -> None:
        """Read valid_paths.json.

        Raises:
            RecipeError: no such folder, or fewer than two objects in it.
        """
        root = Path(self.config.root).expanduser()
        self._names = read_names(root)
        if split(len(self._names)) < 1:
            raise RecipeError(
                f"dataset.root: {root}: {len(self._names)} object(s) in valid_paths.json; two at least, one is held out"
            )

    def _objects(self, held_out: bool = False) -> Objects:
        assert self._names is not None, "prepare() first"
        first = split(len(self._names))
        low, high = (first, len(self._names)) if held_out else (0, first)
        decoder = Decoder(self.config.size, self.config.matte)
        return Objects(Path(self.config.root).expanduser(), self._names, low, high, self.config.views, decoder)

    def _check(self, targets: int) -> None:
        if targets >= self.config.views:
            raise RecipeError(
                f"dataset.views: {self.config.views} views are one input and at most {self.config.views - 1} targets, "
                f"not {targets}; lower the stage's targets"
            )

    def batch(self, size: int, targets: int, generator: torch.Generator) -> TrainingBatch:
        self._check(targets)
        objects, notes = self._objects(), Notes()
        rows = torch.randint(objects.high, (size,), generator=generator).tolist()
        streams = [numpy.random.default_rng(int(torch.randint(2**62, (1,), generator=generator))) for _ in rows]
        return collated([objects.example(row, s, targets, notes) for row, s in zip(rows, streams, strict=True)])

    def batches(self, share: Share) -> Iterator[TrainingBatch]:
        self._check(share.targets)
        return stream(ShareReader(self._objects(), share), self.config.workers, share.first, self._tally)

    def held_out(self, objects: int, targets: int) -> TrainingBatch | None:
        self._check(targets)
        source, notes = self._objects(held_out=True), Notes()
        rows = range(min(objects, source.high - source.low))
        return collated([source.example(row, sample_stream(0, row), targets, notes) for row in rows])

    @property
    def skipped(self) -> int:
        return self._tally.skipped
