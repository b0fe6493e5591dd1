"""Draw docs/demo.png from a finished run: the picture and its mesh from four sides; below, the mesh's bare shape.

python docs/make_demo.py runs/demo
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
import torch
import trimesh
from PIL import Image

from zero3d import folder
from zero3d.geometry import orbit
from zero3d.mesh_files import load_mesh
from zero3d.mesh_views import MeshScene
from zero3d.plugins import load_plugins
from zero3d.run import open_session

SIZE = 192
AZIMUTHS_DEG = (0.0, 90.0, 180.0, 270.0)


def main() -> None:
    run = folder.open_run(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    session = open_session(run, load_plugins(), tell=lambda line: None)
    cameras = orbit(float(torch.rad2deg(session.engine.input_camera.elevation[0])), torch.tensor(AZIMUTHS_DEG), SIZE)
    mesh = load_mesh(run / "mesh.glb")
    coloured = MeshScene(mesh).draw(cameras, supersample=3, light=None).image
    plain = trimesh.Trimesh(mesh.vertices, mesh.faces, face_colors=[190, 190, 195, 255], process=False)
    shape = MeshScene(plain).draw(cameras, supersample=3).image
    picture = session.subject().framed_at(SIZE).pictures[0].picture
    rows = [[picture.rgb, *coloured], [1 - picture.mask.expand(-1, -1, 3) * 0.25, *shape]]
    pixels = torch.cat([torch.cat([panel.cpu().clamp(0, 1) for panel in row], dim=1) for row in rows])
    out = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent / "demo.png")
    Image.fromarray(numpy.round(255 * pixels.numpy()).astype(numpy.uint8)).save(out, optimize=True)
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
