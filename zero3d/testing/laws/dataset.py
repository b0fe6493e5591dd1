"""The laws of a dataset."""

from __future__ import annotations

from itertools import islice
from typing import Any

import torch
from torch import Tensor

from zero3d.errors import UserError
from zero3d.geometry import project
from zero3d.interfaces import Dataset, Share, TrainingBatch
from zero3d.testing.laws.common import Laws
from zero3d.values import Cameras

OBJECTS, TARGETS = 2, 2


def check_dataset(component: type[Dataset], config: Any = None) -> None:
    """The laws of a dataset. Call it from a test with your class; the first broken one is an AssertionError of one line.

    - `prepare` may be called again, and by a second one of the same options, and changes nothing then.
    - A batch has as many objects and targets as asked, pictures (N, H, W, 4) and occupancy of floats in [0, 1], and
      cameras that fit the pictures: as many, as large, right-handed and orthonormal.
    - The same generator state gives the same batch, another seed gives another one, and nothing else is drawn from.
    - Of `batches`, each depends on its number alone, so that a resumed run sees what it would have seen; two processes
      see half of one each, and not the same; and what is `held_out`, if anything, is the same each time.
    - Where the geometry is known, it fits: the solid's cells lie within the silhouettes of all pictures.

    Args:
        component: your class.
        config: its options, few and small objects, with two targets or more; the defaults if None.
    """
    laws = Laws(component)
    config = laws.default(component, config)
    dataset = component(config)
    with laws.runs("it can be prepared", "prepare() fails"):
        dataset.prepare(progress=False)
    with laws.own_randomness("the generator"), laws.runs("it gives batches", "batch() fails"):
        first = _batch(dataset, 0)
    _shapes(laws, first)
    law = "the same generator gives the same batch"
    laws(law, _same(first, _batch(dataset, 0)), "two batches of one seed differ")
    different = any(not _same(first, _batch(dataset, seed)) for seed in range(1, 6))
    laws("another seed gives another batch", different, "six seeds give one batch")
    with laws.runs("prepare may be called again", "the second call fails"):
        dataset.prepare(progress=False)
        second = component(config)
        second.prepare(progress=False)
    laws(
        "prepare may be called again",
        _same(first, _batch(second, 0)),
        "after it the same generator gives another batch",
    )
    _shared_out(laws, dataset)
    if first.occupancy is not None:
        _geometry(laws, first)


def _shared_out(laws: Laws, dataset: Dataset) -> None:
    law = "a batch depends on its number alone"
    with laws.own_randomness("the share's seed"), laws.runs(law, "batches() fails"):
        _, second = islice(dataset.batches(Share(OBJECTS, TARGETS, 3)), 2)
        resumed = next(iter(dataset.batches(Share(OBJECTS, TARGETS, 3, first=1))))
    laws(law, _same(second, resumed), "beginning at batch 1, it is another one than after batch 0")
    _two_processes(laws, dataset)
    law = "what is held out stays the same"
    with laws.runs(law, "held_out() fails"):
        kept, again = (dataset.held_out(1, TARGETS) for _ in range(2))
    good = kept is None or (again is not None and _same(kept, again))
    laws(law, good, "asking again gives other objects")


def _two_processes(laws: Laws, dataset: Dataset) -> None:
    law = "processes share a batch out"
    try:
        shares = [Share(OBJECTS, TARGETS, 3, rank=rank, world=2) for rank in range(2)]
        parts = list(zip(*(islice(dataset.batches(share), 4) for share in shares), strict=True))
    except UserError as error:  # it has too little for two, and says so
        laws(law, len(str(error).splitlines()) == 1, f"the message is not one line: {str(error)!r}")
        return
    except Exception as error:
        laws.broken(law, f"batches() of a rank fails ({type(error).__name__}: {error})")
    counts = [len(part) for part in parts[0]]
    laws(law, counts == [OBJECTS // 2] * 2, f"of {OBJECTS} objects two processes see {counts}")
    laws(law, any(not _same(*pair) for pair in parts), "two processes see the same objects from the same cameras")


def _batch(dataset: Dataset, seed: int) -> TrainingBatch:
    return dataset.batch(OBJECTS, TARGETS, torch.Generator().manual_seed(seed))


def _tensors(batch: TrainingBatch) -> list[Tensor]:
    poses = [batch.input_cameras.camera_to_world, batch.target_cameras.camera_to_world]
    return [batch.input_rgba, batch.target_rgba, *poses, *([] if batch.occupancy is None else [batch.occupancy])]


def _same(one: TrainingBatch, other: TrainingBatch) -> bool:
    pairs = zip(_tensors(one), _tensors(other), strict=True)
    return all(a.shape == b.shape and torch.equal(a, b) for a, b in pairs)


def _shapes(laws: Laws, batch: TrainingBatch) -> None:
    for name, rgba, cameras, count in (
        ("input", batch.input_rgba, batch.input_cameras, OBJECTS),
        ("target", batch.target_rgba, batch.target_cameras, OBJECTS * TARGETS),
    ):
        good = rgba.ndim == 4 and len(rgba) == count and rgba.shape[-1] == 4 and rgba.is_floating_point()
        laws("pictures are (N, H, W, 4) floats", good, f"{name}_rgba is {tuple(rgba.shape)} {rgba.dtype}, N is {count}")
        _range(laws, f"{name}_rgba", rgba)
        size = (len(cameras), cameras.height, cameras.width)
        laws(
            "cameras fit the pictures", size == tuple(rgba.shape[:3]), f"{name}_cameras: {size} for {tuple(rgba.shape)}"
        )
        rotation = cameras.camera_to_world[:, :3, :3]
        straight = torch.allclose(rotation @ rotation.mT, torch.eye(3).expand_as(rotation), atol=1e-4)
        good = straight and bool((torch.linalg.det(rotation) > 0).all())
        laws("camera axes are right-handed and orthonormal", good, f"those of {name}_cameras are not")
        laws(
            "something is seen", (rgba[..., 3].flatten(1).amax(dim=1) > 0.5).all(), f"a picture of {name}_rgba is empty"
        )
    if batch.occupancy is not None:
        shape = tuple(batch.occupancy.shape)
        good = len(shape) == 4 and shape[0] == OBJECTS and len(set(shape[1:])) == 1 and batch.extent > 0
        laws("occupancy is (B, R, R, R) over an extent", good, f"{shape}, extent {batch.extent}")
        _range(laws, "occupancy", batch.occupancy)


def _range(laws: Laws, name: str, values: Tensor) -> None:
    low, high = float(values.min()), float(values.max())
    laws("values lie in [0, 1]", low >= 0 and high <= 1, f"{name} runs from {low:.4g} to {high:.4g}")


def _geometry(laws: Laws, batch: TrainingBatch) -> None:
    assert batch.occupancy is not None
    side = batch.occupancy.shape[-1]
    axis = ((torch.arange(side) + 0.5) / side * 2 - 1) * batch.extent
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    for index in range(OBJECTS):
        points = grid[batch.occupancy[index] > 0.5]
        if len(points) == 0:
            continue  # thinner than a cell
        rows = range(index * TARGETS, (index + 1) * TARGETS)
        seen = [_share(points, batch.input_cameras[index : index + 1], batch.input_rgba[index])]
        seen += [_share(points, batch.target_cameras[k : k + 1], batch.target_rgba[k]) for k in rows]
        law = "geometry and pictures agree"
        laws(law, min(seen) > 0.9, f"object {index}: {min(seen):.0%} of its solid cells lie within a silhouette")


def _share(points: Tensor, camera: Cameras, rgba: Tensor) -> float:
    """Of the points that the picture shows, those that it shows as object (within a pixel)."""
    height, width = rgba.shape[:2]
    places = (project(points, camera)[0][0] + 1) / 2 * torch.tensor([width, height])
    x, y = places.floor().long().unbind(-1)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    solid = torch.nn.functional.max_pool2d(rgba[None, ..., 3], 3, 1, 1)[0] > 0
    return float(solid[y[inside], x[inside]].float().mean()) if inside.any() else 1.0
