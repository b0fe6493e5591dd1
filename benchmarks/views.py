"""A plain fit of several pictures with known cameras: `recipes/views.yaml` on objects whose other views are known.

    python benchmarks/views.py [--objects 3] [--first-seed 1000000] [--pictures 8] [--json FILE] [key=value ...]

Each object is drawn from `pictures` cameras around it (spread over azimuth, at elevations of 5, 30 and 55 degrees in turn),
fitted, and compared with its mesh and with 8 views from between those. The Chamfer distance is that on 20,000 points, with
its floor. Exits 1 if the means miss the gate, or an object takes longer than 30 s.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.run import run
from zero3d.values import PUBLISHED_FOV, Cameras
from zero3d_metrics.image import psnr
from zero3d_metrics.shape import MORE_POINTS, chamfers, chamfers_line, volume_iou
from zero3d_procedural.families import make_object
from zero3d_procedural.rendering import straight_rgba
from zero3d_procedural.texture import random_texture

FIRST_SEED = 1_000_000
GATE = {"chamfer": 0.02, "psnr": 24.0, "seconds": 30.0}
ELEVATIONS = (5.0, 30.0, 55.0)
OTHERS = 8
SIDE, SCORED_SIDE = 256, 128
"""Pixels of the pictures, and of the views that are compared."""


def around(count: int, shift: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Elevation and azimuth of `count` cameras, degrees; `shift`: of a step of azimuth."""
    azimuth = (torch.arange(count) + shift) * 360 / count
    return torch.tensor([ELEVATIONS[i % len(ELEVATIONS)] for i in range(count)]), azimuth


def write_views(folder: Path, scene: MeshScene, cameras: Cameras, texture: Any) -> None:
    """transforms.json and its pictures, in NeRF's layout."""
    folder.mkdir()
    view = scene.draw(cameras, texture=texture)
    pictures = straight_rgba(view.image.numpy(), view.opacity.numpy())
    frames = []
    for i, (picture, pose) in enumerate(zip(pictures, cameras.camera_to_world, strict=True)):
        Image.fromarray(picture, "RGBA").save(folder / f"{i:03d}.png")
        frames.append({"file_path": f"{i:03d}.png", "transform_matrix": pose.tolist()})
    layout = {"camera_angle_x": PUBLISHED_FOV, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(layout), encoding="utf-8")


def fitted(seed: int, pictures: int, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """One object: its scores and seconds."""
    texture = random_texture(numpy.random.default_rng([5, seed]))
    scene = MeshScene(make_object(seed))
    write_views(folder / f"{seed}-views", scene, orbit(*around(pictures, 0.0), SIDE), texture)
    started = time.monotonic()
    chosen = [f"images={folder / f'{seed}-views'}", f"out={folder / str(seed)}", "observers={}", *overrides]
    session = run("recipes/views.yaml", load_plugins(), chosen, tell=lambda line: None)
    seconds = time.monotonic() - started
    others = orbit(*around(OTHERS, 0.5), SCORED_SIDE)
    found = load_mesh(folder / str(seed) / "mesh.glb")
    return {
        **chamfers(found, scene.mesh),
        "iou": volume_iou(found, scene.mesh),
        "psnr": float(
            psnr(session.subject().draw(others).image.cpu(), scene.draw(others, texture=texture).image).mean()
        ),
        "seconds": seconds,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=3)
    parser.add_argument(
        "--first-seed", type=int, default=FIRST_SEED, help="of the objects; others to choose options by"
    )
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    rows = {}
    with tempfile.TemporaryDirectory() as temporary:
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.objects):
            rows[str(seed)] = fitted(seed, arguments.pictures, Path(temporary), arguments.overrides)
            _print(str(seed), rows[str(seed)])
    mean = {key: sum(row[key] for row in rows.values()) / len(rows) for key in next(iter(rows.values()))}
    mean["seconds"] = max(row["seconds"] for row in rows.values())
    _print("mean (longest)", mean)
    if arguments.json:
        arguments.json.write_text(json.dumps({"objects": rows, "mean": mean}, indent=2), encoding="utf-8")
    passed = mean[f"chamfer_{MORE_POINTS}"] < GATE["chamfer"] and mean["psnr"] > GATE["psnr"]
    passed = passed and mean["seconds"] <= GATE["seconds"]
    print("gate passed" if passed else f"gate MISSED: {GATE}")
    return 0 if passed else 1


def _print(name: str, row: dict[str, Any]) -> None:
    print(
        f"{name:16s} {chamfers_line(row)}  IoU {row['iou']:.3f}  PSNR {row['psnr']:.2f} dB  {row['seconds']:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
