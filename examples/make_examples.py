"""Draws the example pictures beside this file: 512 x 512 RGBA, seen from 20 degrees above, at distance 2.

python examples/make_examples.py
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from PIL import Image

from zero3d.geometry import orbit
from zero3d.mesh_files import normalise
from zero3d.mesh_views import MeshScene
from zero3d_procedural.rendering import straight_rgba
from zero3d_procedural.shapes import Mesh, arc, ball, block, cylinder, join, lathe, superquadric, tube

SIZE = 512
ELEVATION_DEG = 20.0
RED, YELLOW, BLUE, CREAM = (0.86, 0.2, 0.16), (0.96, 0.74, 0.16), (0.16, 0.42, 0.82), (0.96, 0.92, 0.84)
GREEN, TEAL, BROWN, BLACK = (0.28, 0.66, 0.32), (0.12, 0.62, 0.62), (0.5, 0.32, 0.18), (0.1, 0.1, 0.12)


def mug() -> Mesh:
    """Red with a cream band, blue handle, cream inside."""
    wall, outside = 0.07, 0.4
    heights = numpy.array([0.0, 0.03, 0.34, 0.66, 0.97, 1.0])
    outer = numpy.stack([outside - 0.03 * (heights == 0), heights], axis=1)
    inner = numpy.array([[outside - wall, 1.0], [outside - wall, wall]])
    cup = lathe(numpy.concatenate([[[0, 0]], outer, inner, [[0, wall]]]), RED, 96)
    centres = cup.triangles_center
    band = (centres[:, 2] > 0.34) & (centres[:, 2] < 0.66)
    inside = (numpy.hypot(centres[:, 0], centres[:, 1]) < outside - 0.9 * wall) & (centres[:, 2] > wall / 2)
    paint(cup, band | inside, CREAM)
    handle = tube(arc((outside - wall / 2, 0, 0.5), (0.3, 0.29), -1.5, 1.5, 40), 0.055, BLUE, sections=24)
    return turned(join([cup, handle]), 62)


def car() -> Mesh:
    """A yellow toy car with a blue cabin."""
    body = superquadric((0.5, 0.23, 0.13), (0.3, 0.3), YELLOW)
    body.apply_translation((0, 0, 0.22))
    cabin = superquadric((0.25, 0.2, 0.16), (0.5, 0.4), BLUE)
    cabin.apply_translation((-0.06, 0, 0.37))
    roof = block((0.26, 0.26, 0.05), (-0.06, 0, 0.51), YELLOW)
    parts = [body, cabin, roof]
    for x in (-0.29, 0.29):
        for side in (-1, 1):
            parts.append(cylinder(0.115, (x, side * 0.18, 0.115), (x, side * 0.26, 0.115), BLACK, 40))
            parts.append(cylinder(0.055, (x, side * 0.2, 0.115), (x, side * 0.27, 0.115), CREAM, 24))
    parts += [ball((0.025, 0.045, 0.045), (0.485, side * 0.12, 0.25), CREAM) for side in (-1, 1)]
    return turned(join(parts), 38)


def chair() -> Mesh:
    """Teal seat and back on brown legs."""
    parts = [block((0.5, 0.5, 0.07), (0, 0, 0.46), TEAL), block((0.07, 0.5, 0.34), (-0.215, 0, 0.83), TEAL)]
    parts += [block((0.06, 0.06, 0.44), (0.21, y, 0.22), BROWN) for y in (-0.21, 0.21)]
    parts += [block((0.06, 0.06, 0.98), (-0.215, y, 0.49), BROWN) for y in (-0.21, 0.21)]
    return turned(join(parts), 35)


def dinosaur() -> Mesh:
    """A green four-legged one with a long neck, and yellow spikes along its back."""
    parts = [ball((0.36, 0.2, 0.2), (0, 0, 0.42), GREEN)]
    neck = numpy.array([[0.22, 0, 0.5], [0.36, 0, 0.6], [0.44, 0, 0.74], [0.48, 0, 0.9]])
    tail = numpy.array([[-0.25, 0, 0.42], [-0.42, 0, 0.36], [-0.58, 0, 0.27], [-0.72, 0, 0.22]])
    parts += [tube(neck, 0.085, GREEN, sections=24), tube(tail, 0.06, GREEN, sections=24)]
    parts += [ball((0.15, 0.1, 0.09), (0.54, 0, 0.94), GREEN)]
    parts += [ball((0.025, 0.025, 0.025), (0.6, side * 0.085, 0.985), BLACK) for side in (-1, 1)]
    legs = [(x, side * 0.12) for x in (-0.2, 0.2) for side in (-1, 1)]
    parts += [cylinder(0.075, (x, y, 0), (x, y, 0.4), GREEN, 32) for x, y in legs]
    parts += [ball((0.07, 0.03, 0.09), (x, 0, z), YELLOW) for x, z in ((-0.24, 0.58), (-0.08, 0.63), (0.08, 0.63))]
    return turned(join(parts), 40)


EXAMPLES: dict[str, Callable[[], Mesh]] = {"mug": mug, "car": car, "chair": chair, "dinosaur": dinosaur}


def paint(mesh: Mesh, chosen: numpy.ndarray, colour: tuple[float, float, float]) -> None:
    """Give the chosen faces another colour."""
    colours = mesh.visual.face_colors.copy()
    colours[chosen, :3] = numpy.round(255 * numpy.array(colour))
    mesh.visual.face_colors = colours


def turned(mesh: Mesh, azimuth_deg: float) -> Mesh:
    """Longest side 1, centred, turned about z so that the input camera on +x sees it from a telling side."""
    angle = numpy.radians(azimuth_deg)
    turn = numpy.eye(4)
    turn[:2, :2] = [[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]]
    mesh.apply_transform(turn)
    return normalise(mesh)


def picture(mesh: Any) -> Image.Image:
    """What the input camera sees, with straight alpha."""
    view = MeshScene(mesh).draw(orbit(ELEVATION_DEG, 0.0, SIZE), supersample=3)
    return Image.fromarray(straight_rgba(view.image.numpy(), view.opacity.numpy())[0])


def main() -> None:
    for name, build in EXAMPLES.items():
        path = Path(__file__).with_name(f"{name}.png")
        picture(build()).save(path, optimize=True)
        print(f"{path} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
