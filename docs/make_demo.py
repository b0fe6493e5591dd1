"""Draw docs/demo.png from a finished run: the picture and its mesh from four sides; below, the mesh's bare shape.

    python docs/make_demo.py runs/demo

With --sheet, docs/examples.jpg: a row for each picture of examples/ and examples/photos/, as it is given, its mesh from the
input camera, from the side and from behind, and its bare shape. The runs are those of `zero3d run nano image=PICTURE`; what
lies in runs/examples is taken.

    python docs/make_demo.py --sheet

All of it is drawn from the exported mesh.glb.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy
import torch
import trimesh
from PIL import Image, ImageOps
from torch import Tensor

from zero3d import folder
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import Light, MeshScene
from zero3d.plugins import load_plugins
from zero3d.run import Session, open_session

ROOT = Path(__file__).resolve().parent.parent
SIZE = 192
AZIMUTHS_DEG = (0.0, 90.0, 180.0, 270.0)
PICTURES = (
    "mug.png",
    "car.png",
    "chair.png",
    "dinosaur.png",
    "photos/package.jpg",
    "photos/sofa.jpg",
    "photos/vehicle.jpg",
)
SHEET_AZIMUTHS_DEG, SHEET_SHAPE_DEG = (0.0, 90.0, 180.0), 45.0
SHEET_CUT = 0.1
"""Of a panel's height, what is cut off above and below: the recipe's framing leaves more free."""
MARGIN = 4
"""Between pictures whose background is not white, pixels."""
QUALITY = 90


def opened(run: Path) -> Session:
    return open_session(run, load_plugins(), tell=lambda line: None)


def elevation_deg(session: Session) -> float:
    return float(torch.rad2deg(session.engine.input_camera.elevation[0]))


def coloured(model: Path, elevation_deg: float, azimuths_deg: Sequence[float]) -> list[Tensor]:
    """(SIZE, SIZE, 3) of a mesh's file from each azimuth, unlit, on white."""
    cameras = orbit(elevation_deg, torch.tensor(azimuths_deg), SIZE)
    return list(MeshScene(load_mesh(model)).draw(cameras, supersample=4, light=None).image)


def bare(model: Path, elevation_deg: float, azimuths_deg: Sequence[float]) -> list[Tensor]:
    """The same without colours, lit from above the camera's left, wherever it is."""
    mesh = load_mesh(model)
    plain = MeshScene(trimesh.Trimesh(mesh.vertices, mesh.faces, face_colors=[200, 200, 205, 255], process=False))
    lit = orbit(elevation_deg + 35, torch.tensor(azimuths_deg) - 35, SIZE).position
    lights = [Light(0.45, (place / place.norm()).numpy()) for place in lit]
    cameras = orbit(elevation_deg, torch.tensor(azimuths_deg), SIZE)
    return [plain.draw(cameras[i : i + 1], supersample=4, light=light).image[0] for i, light in enumerate(lights)]


def demo(run: Path) -> Image.Image:
    session = opened(run)
    picture = session.subject().framed_at(SIZE).pictures[0].picture
    seen = [draw(run / "mesh.glb", elevation_deg(session), AZIMUTHS_DEG) for draw in (coloured, bare)]
    return pasted([[picture.rgb, *seen[0]], [1 - picture.mask.expand(-1, -1, 3) * 0.25, *seen[1]]])


def sheet(runs: Path) -> Image.Image:
    rows = []
    cut = round(SHEET_CUT * SIZE)
    for name in PICTURES:
        picture = ROOT / "examples" / name
        run = runs / picture.stem
        if not (run / "mesh.glb").is_file():
            subprocess.run(
                [sys.executable, "-m", "zero3d", "run", "nano", f"image={picture}", f"out={run}"], check=True
            )
        model, up = run / "mesh.glb", elevation_deg(opened(run))
        seen = [*coloured(model, up, SHEET_AZIMUTHS_DEG), *bare(model, up, [SHEET_SHAPE_DEG])]
        rows.append([given(picture, SIZE - 2 * cut), *(panel[cut : SIZE - cut] for panel in seen)])
    return pasted(rows)


def given(path: Path, height: int) -> Tensor:
    """(height, SIZE, 3): a whole picture file on white."""
    with Image.open(path) as file:
        inside = (SIZE - 2 * MARGIN, height - 2 * MARGIN)
        rgba = ImageOps.pad(file.convert("RGBA"), inside, Image.Resampling.LANCZOS, color=(255, 255, 255, 0))
    rgba = ImageOps.expand(rgba, MARGIN, (255, 255, 255, 0))
    pixels = torch.from_numpy(numpy.asarray(rgba).astype(numpy.float32) / 255)
    return pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:]


def pasted(rows: Sequence[Sequence[Tensor]]) -> Image.Image:
    pixels = torch.cat([torch.cat([panel.cpu().clamp(0, 1) for panel in row], dim=1) for row in rows])
    return Image.fromarray(numpy.round(255 * pixels.numpy()).astype(numpy.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "run", nargs="?", type=Path, help="a run's folder (runs/demo); of a sheet, where runs lie or are made"
    )
    parser.add_argument("out", nargs="?", type=Path, help="the picture to write")
    parser.add_argument("--sheet", action="store_true", help="draw all examples")
    arguments = parser.parse_args()
    if arguments.sheet:
        out = arguments.out or ROOT / "docs" / "examples.jpg"
        sheet(arguments.run or ROOT / "runs" / "examples").save(out, quality=QUALITY, optimize=True)
    else:
        out = arguments.out or ROOT / "docs" / "demo.png"
        demo(folder.open_run(arguments.run or "runs/demo")).save(out, optimize=True)
    print(f"wrote {out} ({out.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
