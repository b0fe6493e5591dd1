"""The oracle gate: five known shapes, each from one picture, with a teacher that knows them.

    GOMP_SPINCOUNT=20000 python benchmarks/oracle.py [--recipe recipes/nano.yaml] [--shape mug] [key=value ...]
    python benchmarks/oracle.py --ingredients [--shape mug]        # what each of INGREDIENTS gives, added one at a time

Prints a table and exits 1 if the mean Chamfer distance on 20,000 points, volume IoU or novel-view PSNR misses the gate, or a
shape takes longer than two minutes. The Chamfer distance is printed on the paper's 2,000 points too, each with its floor:
what the true surface scores against another sample of itself. (On 2,000 points, where the floor is 0.0180, the gate was
0.025, when 0.0247 there was 0.0151 here.)
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh, save_mesh
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.run import run
from zero3d_metrics.image import psnr
from zero3d_metrics.shape import MORE_POINTS, chamfers, chamfers_line, framed, surface_figures, volume_iou
from zero3d_procedural.gate import SHAPES
from zero3d_procedural.rendering import straight_rgba

GATE = {"chamfer_20000": 0.0155, "iou": 0.74, "psnr": 28.0, "seconds": 120.0}
"""At most, at least, at least, at most; the same on every kind of processor (tests/test_gate.py)."""
FROM_NOISE = (
    "start=null",
    "steps=100",
    "optimizer.lr={0%: 0.1, 60%: 0.05, 100%: 0.005}",
    "representation.density_rate=1",
)
"""The gate is of the engine, the field and the export, not of nano's lift, whose shape the recipe keeps."""
INGREDIENTS: dict[str, tuple[str, ...]] = {
    "as the gate": (),
    "six times the steps": ("steps=600",),
    "density of a voxel, one moment for all": (
        "representation.density_unit=voxel",
        "representation.density_rate=0.05",
        "representation.shared_moment=true",
    ),
    "what no light reaches filled": ("representation.fill_hidden=true",),
    "what views disagree about emptied": ("representation.carve=[0.15, 0.6]",),
}
"""What is added to the gate's settings, one after the other."""
ELEVATION_DEG = 20.0
NOVEL = (
    (30.0, 25.0),
    (10.0, 75.0),
    (40.0, 115.0),
    (0.0, 155.0),
    (25.0, 205.0),
    (-5.0, 245.0),
    (45.0, 290.0),
    (15.0, 335.0),
)
"""Elevation and azimuth, degrees, of the eight cameras."""


def reconstruct(name: str, recipe: str, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """One shape from one picture: its scores, seconds, and those of the processor (`busy`)."""
    mesh_file, picture = folder / f"{name}.glb", folder / f"{name}.png"
    save_mesh(SHAPES[name](), mesh_file)
    scene = MeshScene(load_mesh(mesh_file))
    view = scene.draw(orbit(ELEVATION_DEG, 0.0, 512))
    Image.fromarray(straight_rgba(view.image.numpy(), view.opacity.numpy())[0], "RGBA").save(picture)
    started, busy = time.monotonic(), time.process_time()
    session = run(
        recipe,
        load_plugins(),
        [
            f"image={picture}",
            f"out={folder / name}",
            "overwrite=true",
            f"denoiser={{type: oracle, mesh: {mesh_file}}}",
            *FROM_NOISE,
            f"input={{elevation_deg: {ELEVATION_DEG}, framing: keep, mask: alpha}}",
            "observers={}",
            *overrides,
        ],
        tell=lambda line: None,
    )
    seconds, busy = time.monotonic() - started, time.process_time() - busy
    cameras = orbit(*torch.tensor(NOVEL).T, 64)
    drawn = session.subject().draw(cameras).image.cpu()
    found = load_mesh(folder / name / "mesh.glb")
    return {
        **chamfers(found, scene.mesh),
        "iou": volume_iou(found, scene.mesh),
        "psnr": float(psnr(drawn, scene.draw(cameras).image).mean()),
        "normals": surface_figures(*framed(found, scene.mesh), MORE_POINTS, thresholds=())[0]["normal_consistency"],
        "seconds": seconds,
        "busy": busy,
    }


def met(mean: dict[str, Any]) -> bool:
    """Whether the means (`seconds`: the longest) pass the gate."""
    below = all(mean[name] <= GATE[name] for name in ("chamfer_20000", "seconds"))
    return below and all(mean[name] >= GATE[name] for name in ("iou", "psnr"))


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="recipes/nano.yaml")
    parser.add_argument("--shape", choices=list(SHAPES), action="append")
    parser.add_argument("--keep", type=Path, help="a folder for the runs (default: a temporary one)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--ingredients", action="store_true", help="a table of what each of INGREDIENTS gives")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args(given)
    if arguments.ingredients:
        ingredients(arguments.shape or list(SHAPES), arguments.recipe, arguments.overrides)
        return 0
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.shape or SHAPES:
            rows[name] = reconstruct(name, arguments.recipe, folder, arguments.overrides)
            _print(name, rows[name])
    mean = {key: sum(row[key] for row in rows.values()) / len(rows) for key in next(iter(rows.values()))}
    mean["seconds"] = max(row["seconds"] for row in rows.values())
    _print("mean (longest)", mean)
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"shapes": rows, "mean": mean, "threads": torch.get_num_threads()}, indent=2), encoding="utf-8"
        )
    passed = met(mean)
    print("gate passed" if passed else f"gate MISSED: {GATE}")
    return 0 if passed else 1


def ingredients(shapes: list[str], recipe: str, overrides: list[str]) -> None:
    """A row for each of INGREDIENTS, with those before it: means of the shapes (seconds of the processor), and each IoU."""
    print("| added | CD at 20,000 points | IoU | normals | PSNR, dB | s | IoU of each |\n|---|---|---|---|---|---|---|")
    added: list[str] = []
    for label, more in INGREDIENTS.items():
        added += more
        with tempfile.TemporaryDirectory() as folder:
            rows = [reconstruct(name, recipe, Path(folder), [*overrides, *added]) for name in shapes]
        kinds = {"chamfer_20000": ".4f", "iou": ".3f", "normals": ".3f", "psnr": ".1f", "busy": ".1f"}
        means = (format(sum(row[key] for row in rows) / len(rows), kind) for key, kind in kinds.items())
        each = ", ".join(f"{name} {row['iou']:.3f}" for name, row in zip(shapes, rows, strict=True))
        print(f"| {label} | {' | '.join(means)} | {each} |", flush=True)


def _print(name: str, row: dict[str, Any]) -> None:
    print(
        f"{name:16s} {chamfers_line(row)}  IoU {row['iou']:.3f}  PSNR {row['psnr']:.2f} dB  {row['seconds']:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
