"""Recipes, each with overrides of its own, on the same procedural objects: what each gives beside the first.

    python benchmarks/compare.py "nano export.mesh.hull=false" nano [--objects 8] [--first-seed 2000300]

An object is seen once, as `solids.yaml` sees it, its elevation given; the seeds are of validation objects. Printed are the
means and, beside the first, the mean of the differences, object by object, with its standard error: Chamfer distance at
20,000 points, IoU and normal consistency (bounding boxes normalised), the PSNR at 512^2 of the exported mesh from the input
camera against the picture, seconds of the processor (those of the first run with what it compiles).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import numpy
from PIL import Image

from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.run import run
from zero3d_metrics.image import psnr
from zero3d_metrics.shape import MORE_POINTS, chamfers, framed, surface_figures, volume_iou
from zero3d_procedural.evaluation import HeldOut

SIZE = 512
COLUMNS = {"chamfer_20000": ".4f", "iou": ".4f", "normals": ".4f", "front, dB": ".2f", "s": ".1f"}

Figures = dict[str, float]


def figures_of(setting: str, seed: int, folder: Path) -> Figures:
    """One object by one setting: a recipe and overrides, separated by spaces."""
    recipe, *overrides = setting.split()
    held_out = HeldOut(seed, SIZE)
    elevation_deg, _ = held_out.look()
    picture = folder / "picture.png"
    Image.fromarray(numpy.round(255 * held_out.view(0).rgba.numpy()).astype(numpy.uint8), "RGBA").save(picture)
    given = [f"image={picture}", f"out={folder / 'run'}", "overwrite=true", "observers={}", "input.mask=alpha"]
    began = time.process_time()
    elevation = f"input.elevation_deg={elevation_deg}"
    session = run(recipe, load_plugins(), [*given, elevation, *overrides], tell=lambda line: None)
    seconds = time.process_time() - began
    found, truth = load_mesh(folder / "run" / "mesh.glb"), held_out.mesh()
    subject = session.subject()
    assert subject.framed_at is not None
    drawn = MeshScene(found).draw(subject.input_camera.resized(SIZE, SIZE), light=None).image
    wanted = subject.framed_at(SIZE).pictures[0].picture.rgb.cpu()
    return {
        "chamfer_20000": chamfers(found, truth)["chamfer_20000"],
        "iou": volume_iou(found, truth),
        "normals": surface_figures(*framed(found, truth), MORE_POINTS, thresholds=())[0]["normal_consistency"],
        "front, dB": float(psnr(drawn, wanted[None]).mean()),
        "s": seconds,
    }


def row(setting: str, found: Sequence[Figures], first: Sequence[Figures]) -> str:
    """A setting's line of the table."""
    cells = []
    for name, kind in COLUMNS.items():
        cell = format(mean(one[name] for one in found), kind)
        differences = [a[name] - b[name] for a, b in zip(found, first, strict=True)]
        if found is not first and len(differences) > 1:
            error = stdev(differences) / len(differences) ** 0.5
            cell += f" ({format(mean(differences), '+' + kind)} ± {format(error, kind)})"
        cells.append(cell)
    return f"| `{setting}` | {' | '.join(cells)} |"


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="+", help="a recipe and overrides, as one word")
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--first-seed", type=int, default=2_000_300)
    arguments = parser.parse_args(given)
    found: dict[str, list[Figures]] = {setting: [] for setting in arguments.settings}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.objects):
        for setting, rows in found.items():
            with tempfile.TemporaryDirectory() as folder:
                rows.append(figures_of(setting, seed, Path(folder)))
            print(f"{seed} {setting}: {rows[-1]}", file=sys.stderr, flush=True)
    print(f"| setting | {' | '.join(COLUMNS)} |\n|---|{'---|' * len(COLUMNS)}")
    first = found[arguments.settings[0]]
    for setting, rows in found.items():
        print(row(setting, rows, first))


if __name__ == "__main__":
    main()
