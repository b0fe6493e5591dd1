"""The dataset that trainers see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy
import torch

from zero3d.interfaces import Dataset, TrainingBatch
from zero3d.values import Cameras
from zero3d_procedural.augment import augmented


@dataclass
class ProceduralConfig:
    """Options of `procedural`.

    objects: how many, numbered from first_seed. variants: input views of each. targets: target views of each input.
    size: pixels of a view. cache: folder of the rendered examples (about 115 KB each). workers: rendering processes.
    augment: batches mirror half of the objects and shuffle each one's colour channels.
    """

    cache: str
    objects: int = 5000
    first_seed: int = 0
    variants: int = 2
    targets: int = 4
    size: int = 64
    workers: int = 2
    augment: bool = True

    def __post_init__(self) -> None:
        for name, low, high in (("objects", 1, 10**7), ("variants", 1, 100), ("targets", 1, 64), ("size", 8, 512)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")
        if not 1 <= self.workers <= 256:
            raise ValueError(f"workers: {self.workers}; 1 to 256")


class ProceduralObjects(Dataset):
    """Objects of twenty-two families, drawn by ray casting, with the solid on a grid."""

    name: ClassVar[str] = "procedural"
    Config: ClassVar[type[Any]] = ProceduralConfig

    def __init__(self, config: ProceduralConfig) -> None:
        from zero3d_procedural.cache import Cache, CacheSpec

        super().__init__(config)
        spec = CacheSpec(config.first_seed, config.objects, config.variants, config.targets, config.size)
        self._cache = Cache(Path(config.cache), spec)
        self._arrays: dict[str, numpy.ndarray] | None = None

    def prepare(self, progress: bool = True) -> None:
        self._cache.fill(self.config.workers, progress)

    @property
    def complete(self) -> int:
        """How many examples are there, while others are still rendered."""
        return self._cache.complete

    def batch(self, size: int, targets: int, generator: torch.Generator) -> TrainingBatch:
        rows = torch.randint(self._cache.complete, (size,), generator=generator)
        views = torch.randperm(self.config.targets, generator=generator)[:targets] + 1
        batch = self.examples(rows.tolist(), [0, *views.tolist()])
        return augmented(batch, generator) if self.config.augment else batch

    def examples(self, rows: list[int], views: list[int]) -> TrainingBatch:
        """Those examples, the first of `views` as input."""
        from zero3d_procedural.rendering import EXTENT

        if self._arrays is None:
            self._arrays = self._cache.open()
        rgba = torch.from_numpy(numpy.stack([self._arrays["rgba"][row][views] for row in rows])).float() / 255
        poses = torch.from_numpy(numpy.stack([self._arrays["poses"][row][views] for row in rows]))
        eighths = numpy.stack([self._arrays["occupancy"][row] for row in rows])
        size = self.config.size
        return TrainingBatch(
            input_rgba=rgba[:, 0],
            input_cameras=Cameras(poses[:, 0], size, size),
            target_rgba=rgba[:, 1:].flatten(0, 1),
            target_cameras=Cameras(poses[:, 1:].flatten(0, 1), size, size),
            occupancy=torch.from_numpy(eighths).float() / 8,
            extent=EXTENT,
        )
