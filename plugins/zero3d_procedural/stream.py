"""Objects without end for a GPU: processors make shapes, the trainer's device draws what each step needs.

Drawing an example by ray casting and finding its solid takes four times as long as making its shape. So worker processes
write shapes alone, with several scenes for each, to files in a folder; `ShapeStream` keeps those on the device and makes
batches there. The pictures are those of `zero3d_procedural.rendering`, to rounding.

    python -m zero3d_procedural.stream FOLDER --first-seed 56000 --worker 0 --workers 15
"""

from __future__ import annotations

import argparse
import os
from itertools import count, islice
from math import ceil
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from zero3d.files import replacing
from zero3d.interfaces import TrainingBatch
from zero3d.processes import end_with_parent
from zero3d.values import Cameras
from zero3d_procedural.families import make_object
from zero3d_procedural.raster import Scenes, draw, draw_every
from zero3d_procedural.rendering import EXTENT, GRID, make_scene
from zero3d_procedural.solid import solid_shares
from zero3d_procedural.texture import NUMBERS

CHUNK = 50
"""Objects of a file."""
UNIT = 1 / 65534
"""Shapes, in [-0.5, 0.5], are kept in whole multiples of it."""
SCENE_FIELDS = ("placements", "poses", "lights", "patterns")


def make_shapes(first_seed: int, objects: int, scenes: int, targets: int) -> dict[str, numpy.ndarray]:
    """Arrays of the `objects` seeds from the first on, with `scenes` scenes of `targets` target cameras for each.

    corners (F, 3, 3) int16, in UNITs; colours (F, 3) uint8; ends (N,) int64, where each object's triangles end;
    placements (N, K, 3, 4), poses (N, K, 1 + T, 4, 4), lights (N, K, 4), patterns (N, K, NUMBERS), float32.
    """
    corners, colours, found = [], [], []
    for seed in range(first_seed, first_seed + objects):
        mesh = make_object(seed)
        corners.append(numpy.round(numpy.asarray(mesh.vertices)[mesh.faces] / UNIT).astype(numpy.int16))
        colours.append(numpy.asarray(mesh.visual.face_colors)[:, :3])
        found += [make_scene(mesh, seed, variant, targets) for variant in range(scenes)]
    rows = {
        "placements": [scene.placement for scene in found],
        "poses": [scene.poses for scene in found],
        "lights": [[scene.light.ambient, *scene.light.direction] for scene in found],
        "patterns": [numpy.zeros(NUMBERS) if scene.pattern is None else scene.pattern.numbers for scene in found],
    }
    arrays = {name: numpy.asarray(row, dtype=numpy.float32) for name, row in rows.items()}
    return {
        "corners": numpy.concatenate(corners),
        "colours": numpy.concatenate(colours),
        "ends": numpy.cumsum([len(part) for part in corners]),
        **{name: array.reshape(objects, scenes, *array.shape[1:]) for name, array in arrays.items()},
    }


class ShapeStream:
    """The newest shapes of a folder, on a device; `refresh` takes in those written since."""

    def __init__(self, folder: Path, device: torch.device, most: int = 200_000) -> None:
        """`most`: how many are kept; 1,000 take 60 MB."""
        self.folder, self.device, self.most = folder, device, most
        self._files: set[str] = set()
        self._objects: list[tuple[dict[str, Tensor], int, slice]] = []  # their file, number and triangles in it

    def __len__(self) -> int:
        return len(self._objects)

    def refresh(self) -> None:
        """Read new files; another thread may ask for batches meanwhile."""
        new = [path for path in sorted(self.folder.glob("shapes-*.npz")) if path.name not in self._files]
        self._files |= {path.name for path in new}
        found = list(self._objects)
        for path in new[-ceil(self.most / CHUNK) :]:
            with numpy.load(path, allow_pickle=False) as file:
                arrays = {name: torch.from_numpy(file[name]) for name in file.files}
            ends = arrays.pop("ends").tolist()
            on_device = {name: array.to(self.device) for name, array in arrays.items()}
            starts = [0, *ends[:-1]]
            found += [(on_device, n, slice(*span)) for n, span in enumerate(zip(starts, ends, strict=True))]
        self._objects = found[-self.most :]

    def batch(self, size: int, targets: int, generator: torch.Generator, picture: int = 64) -> TrainingBatch:
        """One scene each of `size` objects, drawn now: an input and `targets` target pictures, and the solid.

        `generator` is the CPU's; what it chooses from changes with every `refresh`.
        """
        scenes, poses, occupancy = self._scenes(size, targets, generator)
        rgba = draw(scenes, Cameras(poses.flatten(0, 1), picture, picture)).unflatten(0, (size, -1))
        return _batch(rgba[:, 0], rgba[:, 1:].flatten(0, 1), poses, picture, occupancy)

    def sparse_batch(
        self, size: int, targets: int, generator: torch.Generator, every: int = 4, picture: int = 64
    ) -> tuple[TrainingBatch, Tensor]:
        """The same, but of each target only every `every`th pixel each way, from a random first one: a loss along rays
        needs no others, and drawing costs a fraction.

        Returns:
            The batch, its target_rgba (B * T, n, n, 4), n = picture // every, though its target_cameras are of whole
            pictures; and which of their pixels those are, (B * T, n * n) int64, row by row.
        """
        scenes, poses, occupancy = self._scenes(size, targets, generator)
        rgba = draw(scenes, Cameras(poses[:, 0], picture, picture))
        first = torch.randint(every, (size * targets, 2), generator=generator).to(self.device)
        aims = Cameras(poses[:, 1:].flatten(0, 1), picture, picture)
        seen = draw_every(scenes, aims, every, first)
        steps = every * torch.arange(picture // every, device=self.device)
        rows, columns = first[:, 1, None] + steps, first[:, 0, None] + steps
        pixels = rows[:, :, None] * picture + columns[:, None]
        return _batch(rgba, seen, poses, picture, occupancy), pixels.flatten(1)

    def _scenes(self, size: int, targets: int, generator: torch.Generator) -> tuple[Scenes, Tensor, Tensor]:
        """Chosen scenes where they stand, their cameras (B, 1 + T, 4, 4), and what is solid."""
        objects = self._objects  # `refresh` makes another list
        chosen = [objects[row] for row in torch.randint(len(objects), (size,), generator=generator).tolist()]
        _, scenes, views = chosen[0][0]["poses"].shape[:3]
        scene = torch.randint(scenes, (size,), generator=generator).tolist()
        seen = [0, *(torch.randperm(views - 1, generator=generator)[:targets] + 1).tolist()]
        placements, poses, lights, patterns = (
            torch.stack([file[name][number, k] for (file, number, _), k in zip(chosen, scene, strict=True)])
            for name in SCENE_FIELDS
        )
        counts = torch.tensor([part.stop - part.start for _, _, part in chosen], device=self.device)
        owner = torch.repeat_interleave(counts)
        corners = torch.cat([file["corners"][part] for file, _, part in chosen]).double() * UNIT
        colours = torch.cat([file["colours"][part] for file, _, part in chosen]).float() / 255
        placed = (
            torch.einsum("fij,fcj->fci", placements[owner, :, :3].double(), corners) + placements[owner, None, :, 3]
        )
        occupancy = solid_shares(placed, owner, size, GRID, EXTENT).float() / 8
        return Scenes(placed.float(), colours, owner, lights, patterns), poses[:, seen], occupancy


def _batch(input_rgba: Tensor, target_rgba: Tensor, poses: Tensor, picture: int, occupancy: Tensor) -> TrainingBatch:
    return TrainingBatch(
        input_rgba=input_rgba,
        input_cameras=Cameras(poses[:, 0], picture, picture),
        target_rgba=target_rgba,
        target_cameras=Cameras(poses[:, 1:].flatten(0, 1), picture, picture),
        occupancy=occupancy,
        extent=EXTENT,
    )


def write_shapes(
    folder: Path, first_seed: int, worker: int, workers: int, scenes: int, targets: int, most: int | None = None
) -> None:
    """Write every `workers`th file of objects, from the first that is missing, until stopped, or `most` are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in islice(count(worker, workers), most):
        first = first_seed + number * CHUNK
        path = folder / f"shapes-{first:09d}.npz"
        if not path.exists():
            arrays: dict[str, Any] = make_shapes(first, CHUNK, scenes, targets)
            with replacing(path) as temporary, temporary.open("wb") as file:
                numpy.savez(file, **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first-seed", type=int, required=True)
    parser.add_argument("--worker", type=int, required=True, help="this one's number")
    parser.add_argument("--workers", type=int, required=True, help="how many there are")
    parser.add_argument("--scenes", type=int, default=3, help="of each object")
    parser.add_argument("--targets", type=int, default=4, help="target cameras of each scene")
    parser.add_argument("--most", type=int, help="files that this worker makes; it stops with them")
    given = parser.parse_args()
    end_with_parent()
    torch.set_num_threads(1)
    os.nice(10)
    write_shapes(given.folder, given.first_seed, given.worker, given.workers, given.scenes, given.targets, given.most)


if __name__ == "__main__":
    main()
