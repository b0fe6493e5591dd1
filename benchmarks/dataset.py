"""How fast training pictures are drawn: objects and views a second, over one process and several, on this machine.

    python benchmarks/dataset.py [MESHES...] [--workers 1 2] [--size 256] [--json dataset.json] [--readme]

Without MESHES, objects are made: a vertex-coloured solid of 5,000 faces, a textured ball of 80,000, and a scene of twelve
parts, in turn. Every row is the whole command's work (reading, ray casting, writing PNG and poses) but for starting the
processes, whose time is given apart. --blender-python PATH adds Cycles, on two objects.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
import torch
import trimesh
from PIL import Image
from render import write_readme

from zero3d_dataset.layout import PARTIAL
from zero3d_dataset.render import Machinery, ObjectMaker, Settings, render
from zero3d_dataset.sources import Source, find_sources

OBJECTS = 12


def make_objects(folder: Path, count: int) -> None:
    generator = numpy.random.default_rng(0)
    texture = Image.fromarray(generator.integers(0, 256, (64, 64, 3), dtype=numpy.uint8)).resize((1024, 1024))
    for index in range(count):
        [coloured, textured, parts][index % 3](generator, texture).export(folder / f"object{index:03d}.glb")


def coloured(generator: numpy.random.Generator, texture: Image.Image) -> Any:
    ball = trimesh.creation.icosphere(4)
    ball.vertices *= 1 + 0.2 * numpy.sin(5 * ball.vertices + generator.uniform(0, 6, 3)).sum(axis=1, keepdims=True) / 3
    ball.visual.vertex_colors = numpy.clip(128 + 100 * ball.vertices, 0, 255).astype(numpy.uint8)
    return ball


def textured(generator: numpy.random.Generator, texture: Image.Image) -> Any:
    ball = trimesh.creation.icosphere(6)
    x, y, z = ball.vertices.T
    uv = numpy.stack(
        [numpy.arctan2(y, x) / (2 * numpy.pi), numpy.arcsin(numpy.clip(z, -1, 1)) / numpy.pi + 0.5], axis=1
    )
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=texture)
    ball.vertices *= generator.uniform(0.5, 1, 3)
    ball.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return ball


def parts(generator: numpy.random.Generator, texture: Image.Image) -> Any:
    scene = trimesh.Scene()
    for _ in range(12):
        box = trimesh.creation.box(generator.uniform(0.1, 0.5, 3))
        colour = [*generator.uniform(0, 1, 3), 1.0]
        box.visual = trimesh.visual.TextureVisuals(material=trimesh.visual.material.PBRMaterial(baseColorFactor=colour))
        place = trimesh.transformations.translation_matrix(generator.uniform(-0.5, 0.5, 3))
        scene.add_geometry(box, transform=place)
    return scene


def measure(sources: list[Source], settings: Settings, machinery: Machinery) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        tally = render(sources, Path(folder, "out"), settings, machinery)
        written = sum(path.stat().st_size for path in Path(folder, "out").glob("*/*"))
    views = tally.drawn * settings.views
    return {
        "renderer": settings.renderer,
        "workers": machinery.workers,
        "objects": tally.drawn,
        "failed": tally.failed,
        "seconds": tally.seconds,
        "objects_per_second": tally.drawn / tally.seconds,
        "views_per_second": views / tally.seconds,
        "kilobytes_per_view": written / 1000 / max(views, 1),
    }


def processor_milliseconds(sources: list[Source], settings: Settings) -> float:
    """Of one thread in this process, a view: a figure that a busy machine does not change much."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / PARTIAL).mkdir()
        maker = ObjectMaker(Path(folder), settings, Machinery())
        maker.do(Source("warm", sources[0].path))
        started = time.process_time()
        for source in sources:
            maker.do(source)
        return 1000 * (time.process_time() - started) / (len(sources) * settings.views)


def report(result: dict[str, Any]) -> str:
    lines = [
        f"{result['views']} views of {result['size']} px each, {result['machine']}, {result['processors']} processors; "
        f"starting the first process takes {result['start_seconds']:.1f} s more. Processor time of `raycast`: "
        f"{result['processor_ms_per_view']:.0f} ms a view." + (f" {result['note']}." if result["note"] else ""),
        "",
        "| renderer | processes | objects | objects/s | views/s | kB a view |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        lines.append(
            f"| {row['renderer']} | {row['workers']} | {row['objects']} | {row['objects_per_second']:.2f} "
            f"| {row['views_per_second']:.1f} | {row['kilobytes_per_view']:.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    torch.set_num_threads(1)  # as in the worker processes
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="*", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--objects", type=int, default=OBJECTS, help="how many are made")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--supersample", type=int, default=2)
    parser.add_argument("--blender-python", type=Path)
    parser.add_argument("--samples", type=int, default=128, help="of Cycles")
    parser.add_argument("--note", default="", help="a word on the machine for the table")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--readme", action="store_true")
    arguments = parser.parse_args()
    settings = Settings(views=arguments.views, size=arguments.size, supersample=arguments.supersample)
    with tempfile.TemporaryDirectory() as folder:
        if not arguments.meshes:
            make_objects(Path(folder), arguments.objects)
        sources = find_sources(arguments.meshes or [Path(folder)])
        first = time.perf_counter()
        small = Settings(views=1, size=16)
        measure(sources[:1], small, Machinery())
        cold = time.perf_counter() - first
        warm = measure(sources[:1], small, Machinery())["seconds"]
        rows = [measure(sources, settings, Machinery(workers=count)) for count in arguments.workers]
        busy = processor_milliseconds(sources, settings)
        if arguments.blender_python:
            cycles = Settings(arguments.views, arguments.size, renderer="blender", samples=arguments.samples)
            machinery = Machinery(blender_python=arguments.blender_python)
            rows.append(measure(sources[:2], cycles, machinery))
    result = {
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "views": arguments.views,
        "size": arguments.size,
        "supersample": arguments.supersample,
        "note": arguments.note,
        "start_seconds": cold - warm,
        "processor_ms_per_view": busy,
        "rows": rows,
    }
    text = report(result)
    print(text)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")
    if arguments.readme:
        write_readme("dataset", text)


if __name__ == "__main__":
    main()
