"""Draw docs/gallery/*.jpg, and docs/gallery/mug.glb: what the recipes make that run without fetched weights.

    python docs/make_gallery.py [nano|nano-gaussians|views|train-nano|nano_lift|novel_views|model ...] [--runs runs/gallery]

Every picture is of a run that this script makes with the recipe as it is; runs that lie there are taken. The page
is written from `zero3d recipes --json` when the site is built (generate.py).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import torch
import trimesh
from PIL import Image
from torch import Tensor

from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.values import PUBLISHED_FOV, Cameras
from zero3d_procedural.families import make_object
from zero3d_procedural.rendering import straight_rgba
from zero3d_procedural.texture import random_texture
from zero3d_report.drawing.drawn import drawer_of

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "gallery"
EXAMPLES = ("mug", "car", "chair", "dinosaur")
ELEVATION_DEG = 20.0
SIDE = 160
TURNS_DEG = (0.0, 90.0, 180.0, 270.0)
MOST_BYTES, MOST_MODEL_BYTES = 60_000, 300_000
HELD_OUT = 1_000_003
"""The seed of a procedural object, of those that nano never saw (benchmarks/views.py)."""


def zero3d(*words: str | Path) -> None:
    subprocess.run([sys.executable, "-m", "zero3d", *map(str, words)], cwd=ROOT, check=True)


def finished(runs: Path, recipe: str, name: str) -> Path:
    """The run of a recipe on an example picture."""
    run = runs / f"{recipe}-{name}"
    if not (run / "report.html").is_file():
        picture = ROOT / "examples" / f"{name}.png"
        zero3d("run", recipe, f"image={picture}", f"out={run}", f"input.elevation_deg={ELEVATION_DEG}")
    return run


def seen(model: Path, azimuths_deg: Sequence[float] = TURNS_DEG, elevation_deg: float = ELEVATION_DEG) -> list[Tensor]:
    """(SIDE, SIDE, 3) of a model's file from each azimuth, unlit, on white."""
    draw, _ = drawer_of(model, load_plugins())
    cameras = orbit(elevation_deg, torch.tensor(azimuths_deg), 3 * SIDE)
    return [small(draw(cameras[i : i + 1]).over(torch.ones(3))) for i in range(len(azimuths_deg))]


def shape(model: Path, azimuths_deg: Sequence[float]) -> list[Tensor]:
    """The same of a mesh without its colours, lit."""
    mesh = load_mesh(model)
    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, face_colors=[190, 190, 195, 255], process=False)
    cameras = orbit(ELEVATION_DEG, torch.tensor(azimuths_deg), SIDE)
    return list(MeshScene(plain).draw(cameras, supersample=3).image)


def small(picture: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(picture.movedim(-1, 0)[None], (SIDE, SIDE), mode="area")[0].movedim(0, -1)


def opened(path: Path, side: int = SIDE) -> Tensor:
    """A picture file on white."""
    with Image.open(path) as file:
        rgba = file.convert("RGBA").resize((side, side), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(numpy.asarray(rgba).astype(numpy.float32) / 255)
    return pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:]


def write(name: str, rows: Sequence[Sequence[Tensor]]) -> None:
    """One JPEG of rows of pictures of one size."""
    sheet = torch.cat([torch.cat(list(row), dim=1) for row in rows])
    pixels = numpy.round(255 * sheet.clamp(0, 1).numpy()).astype(numpy.uint8)
    for quality in (88, 80, 70):
        Image.fromarray(pixels).save(OUT / f"{name}.jpg", quality=quality, optimize=True)
        size = (OUT / f"{name}.jpg").stat().st_size
        if size <= MOST_BYTES:
            print(f"docs/gallery/{name}.jpg: {size / 1000:.0f} kB")
            return
    raise SystemExit(f"docs/gallery/{name}.jpg has {size} bytes, over {MOST_BYTES}")


def nano(runs: Path) -> None:
    rows = []
    for name in EXAMPLES:
        mesh = finished(runs, "nano", name) / "mesh.glb"
        rows.append([opened(ROOT / "examples" / f"{name}.png"), *seen(mesh), *shape(mesh, (45.0,))])
    write("nano", rows)


def nano_gaussians(runs: Path) -> None:
    rows = []
    for name in EXAMPLES[:2]:
        splats = finished(runs, "nano-gaussians", name) / "splat.ply"
        rows.append(
            [opened(ROOT / "examples" / f"{name}.png"), *seen(splats), *shape(splats.with_name("mesh.glb"), (45.0,))]
        )
    write("nano-gaussians", rows)


def views(runs: Path) -> None:
    """Eight pictures with known cameras above, the mesh that is fitted to them below, from between them."""
    given, run = runs / "views-given", runs / "views"
    azimuths = torch.arange(8) * 45.0
    if not given.is_dir():
        cameras = orbit(torch.tensor([5.0, 30.0, 55.0] * 3)[:8], azimuths, 256)
        texture = random_texture(numpy.random.default_rng([5, HELD_OUT]))
        write_views(given, cameras, MeshScene(make_object(HELD_OUT)).draw(cameras, texture=texture))
    if not (run / "report.html").is_file():
        zero3d("run", "views", f"images={given}", f"out={run}")
    pictures = [opened(path) for path in sorted(given.glob("*.png"))]
    write("views", [pictures, seen(run / "mesh.glb", (azimuths + 22.5).tolist())])


def write_views(folder: Path, cameras: Cameras, view: object) -> None:
    """transforms.json and its pictures, in NeRF's layout."""
    folder.mkdir(parents=True)
    frames = []
    pictures = straight_rgba(view.image.numpy(), view.opacity.numpy())
    for i, (picture, pose) in enumerate(zip(pictures, cameras.camera_to_world, strict=True)):
        Image.fromarray(picture, "RGBA").save(folder / f"{i:03d}.png")
        frames.append({"file_path": f"{i:03d}.png", "transform_matrix": pose.tolist()})
    layout = {"camera_angle_x": PUBLISHED_FOV, "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(layout), encoding="utf-8")


def train_nano(runs: Path) -> None:
    """Some of the procedural objects that nano is trained on."""
    rows = []
    for first in (0, 6):
        row = []
        for seed in range(first, first + 6):
            texture = random_texture(numpy.random.default_rng([5, seed]))
            row += list(
                MeshScene(make_object(seed))
                .draw(orbit(ELEVATION_DEG, 30.0, SIDE), supersample=3, texture=texture)
                .image
            )
        rows.append(row)
    write("train-nano", rows)


def nano_lift(runs: Path) -> None:
    run = runs / "nano_lift"
    if not (run / "mesh.glb").is_file():
        zero3d(
            "reconstruct", "nano_lift", "image=examples/mug.png", f"out={run}", f"input.elevation_deg={ELEVATION_DEG}"
        )
    write(
        "nano_lift", [[opened(ROOT / "examples/mug.png"), *seen(run / "mesh.glb"), *shape(run / "mesh.glb", (45.0,))]]
    )


def novel_views(runs: Path) -> None:
    """What nano draws of the picture, without any 3D."""
    run = runs / "novel_views"
    azimuths = (0, 60, 120, 180, 240, 300)
    if not run.is_dir():
        words = ("--azimuth", ",".join(map(str, azimuths)), "--elevation", "0", "--out", run)
        zero3d("views", "examples/car.png", *words)
    pictures = sorted(path for path in run.glob("*.png") if "sheet" not in path.stem)[: len(azimuths)]
    write("novel_views", [[opened(ROOT / "examples/car.png"), *(opened(path) for path in pictures)]])


def model(runs: Path) -> None:
    """The model that turns on the site's front page: nano's mug with fewer faces and a smaller texture."""
    run = finished(runs, "nano", "mug")
    zero3d(
        "export", run, "export={turns: {type: textured_mesh, resolution: 128, taubin: 20, faces: 6000, texture: 256}}"
    )
    data = (run / "turns.glb").read_bytes()
    if len(data) > MOST_MODEL_BYTES:
        raise SystemExit(f"{run / 'turns.glb'} has {len(data)} bytes, over {MOST_MODEL_BYTES}")
    (OUT / "mug.glb").write_bytes(data)
    print(f"docs/gallery/mug.glb: {len(data) / 1000:.0f} kB")


MADE: dict[str, Callable[[Path], None]] = {
    "nano": nano,
    "nano-gaussians": nano_gaussians,
    "views": views,
    "train-nano": train_nano,
    "nano_lift": nano_lift,
    "novel_views": novel_views,
    "model": model,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*MADE, []], help="which (all)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "gallery", help="where the runs lie, or are made")
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    for name in arguments.names or MADE:
        MADE[name](arguments.runs)


if __name__ == "__main__":
    main()
