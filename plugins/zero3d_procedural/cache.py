"""Examples on disk: one uncompressed array file each for pictures, poses and occupancy, filled by several processes."""

from __future__ import annotations

import json
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy
from numpy.lib.format import open_memmap

from zero3d.errors import RunError
from zero3d.files import write_text
from zero3d.processes import end_with_parent
from zero3d_procedural.rendering import GRID, make_example

CHUNK = 50
"""Objects that one worker renders before it reports."""
GENERATION = 2
"""Of what a seed gives: it grows when objects or their pictures change, so that no folder mixes two."""


@dataclass(frozen=True)
class CacheSpec:
    """What is cached: `objects` objects from first_seed on, `variants` examples each, `targets` views of `size` pixels."""

    first_seed: int
    objects: int
    variants: int
    targets: int
    size: int

    @property
    def examples(self) -> int:
        return self.objects * self.variants


class Cache:
    """Arrays rgba (N, 1 + T, H, W, 4), poses (N, 1 + T, 4, 4) and occupancy (N, R, R, R), memory-mapped."""

    def __init__(self, folder: Path, spec: CacheSpec) -> None:
        self.folder, self.spec = folder, spec
        views, size = 1 + spec.targets, spec.size
        self._shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "rgba": ((spec.examples, views, size, size, 4), "uint8"),
            "poses": ((spec.examples, views, 4, 4), "float32"),
            "occupancy": ((spec.examples, GRID, GRID, GRID), "uint8"),
        }

    def fill(self, workers: int, progress: bool = True) -> None:
        """Render what is missing. Interrupted, it goes on at the next chunk.

        Raises:
            RunError: the folder holds other examples than asked for.
        """
        from tqdm import tqdm

        self._prepare()
        missing = [c for c in range(0, self.spec.objects, CHUNK) if not self._done(c).exists()]
        if not missing:
            return
        with ProcessPoolExecutor(workers, initializer=end_with_parent) as pool:
            jobs = pool.map(_render_chunk, [(self.folder, self.spec, start) for start in missing])
            for _ in tqdm(jobs, total=len(missing), desc=f"objects / {CHUNK}", disable=not progress):
                pass

    @property
    def complete(self) -> int:
        """Examples ready to be read: those of the leading finished chunks."""
        done = 0
        while done < self.spec.objects and self._done(done).exists():
            done += CHUNK
        return min(done, self.spec.objects) * self.spec.variants

    def open(self, mode: Literal["r", "r+"] = "r") -> dict[str, numpy.ndarray]:
        """The memory-mapped arrays."""
        return {name: numpy.load(self.folder / f"{name}.npy", mmap_mode=mode) for name in self._shapes}

    def write(self, start: int) -> None:
        """Render the chunk of objects that begins at `start`."""
        arrays = self.open("r+")
        for index in range(start, min(start + CHUNK, self.spec.objects)):
            for variant in range(self.spec.variants):
                example = make_example(self.spec.first_seed + index, variant, self.spec.targets, self.spec.size)
                row = index * self.spec.variants + variant
                arrays["rgba"][row] = example.rgba
                arrays["poses"][row] = example.poses
                arrays["occupancy"][row] = example.occupancy
        self._done(start).touch()

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        note = self.folder / "spec.json"
        content = {**asdict(self.spec), "generation": GENERATION}
        if note.exists() and json.loads(note.read_text(encoding="utf-8")) != content:
            raise RunError(
                f"{self.folder}: holds other examples ({note.read_text(encoding='utf-8')}); name another folder"
            )
        for name, (shape, dtype) in self._shapes.items():
            if not (self.folder / f"{name}.npy").exists():
                open_memmap(self.folder / f"{name}.npy", "w+", dtype, shape)
        write_text(note, json.dumps(content))

    def _done(self, start: int) -> Path:
        return self.folder / f"done-{start:07d}"


def _render_chunk(job: tuple[Path, CacheSpec, int]) -> None:
    os.nice(10)
    import torch

    torch.set_num_threads(1)
    folder, spec, start = job
    Cache(folder, spec).write(start)
