"""How fast training pictures are read: pictures a second of both datasets over worker processes, on this machine.

    python benchmarks/loader.py [--root FOLDER] [--workers 0 1 2 4] [--size 256] [--json loader.json] [--readme]

Without --root, a folder in the published layout is made (noise and discs, 512 pixels as published). Shards are made of the
same objects. Starting the processes and reading the first batches are not counted; the files are in the system's cache.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tarfile
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from render import write_readme

from zero3d.geometry import orbit
from zero3d.interfaces import Dataset, Share
from zero3d_training.data.paths import read_names
from zero3d_training.data.views_folder import ViewsFolder, ViewsFolderConfig
from zero3d_training.data.webdataset import WebDataset, WebDatasetConfig

BATCH = 16
VIEWS = 12
SHARDS = 10


def make_folder(root: Path, objects: int, size: int) -> Path:
    """Discs of a smooth texture with some grain: about as large, as PNG files, as rendered objects."""
    generator = numpy.random.default_rng(0)
    y, x = numpy.mgrid[:size, :size] / size - 0.5
    names = []
    for index in range(objects):
        names.append(f"{index:032x}")
        folder = root / names[-1]
        folder.mkdir(parents=True)
        cameras = orbit(torch.linspace(-60, 70, VIEWS), torch.arange(VIEWS) * 137.5, size, 1.8)
        matrices = torch.linalg.inv(cameras.camera_to_world.double())[:, :3].numpy()
        for view in range(VIEWS):
            rgba = numpy.zeros((size, size, 4), numpy.uint8)
            disc = x**2 + y**2 < generator.uniform(0.05, 0.12)
            waves = numpy.stack([numpy.sin(generator.uniform(5, 30) * (x + k * y)) for k in range(3)], axis=-1)
            grain = generator.normal(0, 3, waves.shape)
            rgba[disc, :3] = numpy.clip(128 + 90 * waves + grain, 0, 255).astype(numpy.uint8)[disc]
            rgba[disc, 3] = 255
            Image.fromarray(rgba, "RGBA").save(folder / f"{view:03d}.png")
            numpy.save(folder / f"{view:03d}.npy", matrices[view])
    (root / "valid_paths.json").write_text(json.dumps(names), encoding="utf-8")
    return root


def make_shards(root: Path, folder: Path) -> str:
    """The folder's objects in tar files; the pattern that names them."""
    root.mkdir()
    names = read_names(folder)
    for shard in range(SHARDS):
        with tarfile.open(root / f"shard-{shard:03d}.tar", "w") as tar:
            for index in range(shard, len(names), SHARDS):
                for file in sorted((folder / names[index]).iterdir()):
                    tar.add(file, f"{names[index]}/{file.name}")
    return f"{root}/shard-{{000..{SHARDS - 1:03d}}}.tar"


def measure(dataset: Dataset, workers: int, batches: int) -> dict[str, Any]:
    """Pictures (an input and a target an object) a second, and seconds until the first batch."""
    dataset.prepare()
    began = time.perf_counter()
    stream = dataset.batches(Share(BATCH, 1, seed=0))
    next(stream)
    first = time.perf_counter() - began
    for _ in islice(stream, 2 * workers):
        pass  # what was made ahead while the processes started
    began, busy = time.perf_counter(), time.process_time()
    for _ in islice(stream, batches):
        pass
    seconds, processor = time.perf_counter() - began, time.process_time() - busy
    return {
        "dataset": dataset.name,
        "workers": workers,
        "pictures_per_second": 2 * BATCH * batches / seconds,
        "seconds_to_first_batch": first,
        "processor_ms_per_picture": None if workers else 1000 * processor / (2 * BATCH * batches),
    }


def report(result: dict[str, Any]) -> str:
    lines = [
        f"{result['machine']}, {result['processors']} processors; {result['objects']} objects of {VIEWS} views, "
        f"{result['kilobytes_per_picture']:.0f} kB a picture, read at {result['size']} px, batches of {BATCH} objects."
        + (f" {result['note']}." if result["note"] else ""),
        "",
        "| dataset | workers | pictures/s | processor time a picture | first batch after |",
        "|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        busy = row["processor_ms_per_picture"]
        lines.append(
            f"| `{row['dataset']}` | {row['workers']} | {row['pictures_per_second']:.0f} "
            f"| {f'{busy:.1f} ms' if busy else 'in other processes'} | {row['seconds_to_first_batch']:.1f} s |"
        )
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, help="a folder with valid_paths.json")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--objects", type=int, default=40, help="how many are made")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batches", type=int, default=20, help="measured for each row")
    parser.add_argument("--note", default="", help="a word on the machine for the table")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.root or make_folder(Path(temporary, "views"), arguments.objects, 512)
        shards = make_shards(Path(temporary, "shards"), root)
        names = read_names(root)
        pictures = sorted((root / names[0]).glob("*.png"))
        rows = []
        for workers in arguments.workers:
            common = {"size": arguments.size, "views": VIEWS, "workers": workers}
            for dataset in (
                ViewsFolder(ViewsFolderConfig(root=str(root), **common)),
                WebDataset(WebDatasetConfig(shards=shards, **common)),
            ):
                rows.append(measure(dataset, workers, arguments.batches))
                print(rows[-1], file=sys.stderr, flush=True)
        result = {
            "machine": f"{platform.system()} {platform.machine()}",
            "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "objects": len(names),
            "kilobytes_per_picture": sum(path.stat().st_size for path in pictures) / 1000 / len(pictures),
            "size": arguments.size,
            "note": arguments.note,
            "rows": rows,
        }
    text = report(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if arguments.readme:
        write_readme("loader", text)


if __name__ == "__main__":
    main()
