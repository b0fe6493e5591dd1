"""Meshes and stand-ins for the tests of data sets; imported by worker processes too, so it imports little."""

import json
import math
import os
import sys
import time

import numpy

from zero3d_dataset.workers import Work

MARKERS = {"red": (0.9, 0.1, 0.4), "green": (-0.7, 0.5, -0.3), "blue": (0.2, -0.8, 0.6)}
"""Centres in a file's own (glTF) axes, before it is normalised."""

RADIUS = 0.08


def markers(path):
    """Three small balls of pure colours; returns their centres after normalisation, in glTF axes."""
    import trimesh
    from trimesh.visual.material import PBRMaterial

    scene = trimesh.Scene()
    for index, place in enumerate(MARKERS.values()):
        ball = trimesh.creation.icosphere(3, RADIUS)
        colour = [0.0, 0.0, 0.0, 1.0]
        colour[index] = 1.0
        ball.visual = trimesh.visual.TextureVisuals(
            material=PBRMaterial(baseColorFactor=colour, metallicFactor=0.0, roughnessFactor=1.0)
        )
        scene.add_geometry(ball, transform=trimesh.transformations.translation_matrix(place))
    scene.export(path)
    centres = numpy.array(list(MARKERS.values()))
    low, high = centres.min(axis=0) - RADIUS, centres.max(axis=0) + RADIUS
    return (centres - (low + high) / 2) / (high - low).max()


def box(path, offset=0.0):
    import trimesh

    mesh = trimesh.creation.box([1, 2, 3])
    mesh.vertices += offset
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh.export(path)
    return path


def published_t(target, condition):
    """T as the published loader derives it from two 3x4 world-to-camera matrices (its formulas, retold)."""

    def spherical(matrix):
        x, y, z = -matrix[:, :3].T @ matrix[:, 3]
        return math.atan2(math.hypot(x, y), z), math.atan2(y, x), math.sqrt(x * x + y * y + z * z)

    (theta, phi, r), (theta0, phi0, r0) = spherical(target), spherical(condition)
    turn = (phi - phi0) % (2 * math.pi)
    return [theta - theta0, math.sin(turn), math.cos(turn), r - r0]


class Odd(Work):
    """Does as its task says."""

    def do(self, task):
        if task == "die":
            os._exit(7)
        if task == "hang":
            time.sleep(600)
        return "as asked" if task == "fail" else None


def make_odd():
    return Odd()


STAND_IN = f"""#!{sys.executable}
import json, os, sys, time
assert sys.argv[1].endswith("blender_script.py"), sys.argv
with open(sys.argv[1]) as script:
    assert "bpy" in script.read()
print(json.dumps({{"ready": "0.0 (stand-in)"}}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    assert set(order) == {{"mesh", "out", "poses", "size", "fov", "light", "y_up", "samples", "device"}}
    if "broken" in order["mesh"]:
        print(json.dumps({{"error": "RuntimeError: no such luck"}}), flush=True)
    elif "deadly" in order["mesh"]:
        print("Segmentation fault, as it were", file=sys.stderr)
        os._exit(11)
    elif "sleepy" in order["mesh"]:
        with open(order["mesh"] + ".pid", "w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    elif "babble" in order["mesh"]:
        print("Fra:1 Mem:12M", flush=True)
    else:
        from PIL import Image
        for index in range(len(order["poses"])):
            grey = Image.new("RGBA", (order["size"], order["size"]), (9, 8, 7, index + 1))
            grey.save(os.path.join(order["out"], f"{{index:03d}}.png"))
        print(json.dumps({{"done": len(order["poses"])}}), flush=True)
"""


def stand_in(folder):
    """An interpreter that plays Blender's side of the protocol without bpy."""
    path = folder / "python"
    path.write_text(STAND_IN, encoding="utf-8")
    path.chmod(0o755)
    return path


def read_json(path):
    return json.loads(path.read_text(encoding="utf-8"))
