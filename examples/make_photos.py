"""Draws photos/*.jpg as a camera would take them: 800 x 600, no alpha, on a sheet of paper with soft shadows.

    python examples/make_photos.py

What they show are procedural objects that nano never saw (held out: seeds from 1,000,000 on): of each family named below the
first that stands on its foot, whatever comes of it. Elevation, light and texture are those of the held-out set.
"""

from __future__ import annotations

import io
from itertools import count
from pathlib import Path

import numpy
import scipy
import torch
import trimesh
from PIL import Image

from zero3d.geometry import look_at, rays, spherical
from zero3d.mesh_views import MeshScene
from zero3d.values import Cameras
from zero3d_procedural.evaluation import FIRST_SEED, HeldOut
from zero3d_procedural.families import family_of
from zero3d_procedural.families.boxes import package
from zero3d_procedural.families.furniture import sofa
from zero3d_procedural.families.machines import vehicle

FAMILIES = (package, sofa, vehicle)
WIDTH, HEIGHT = 800, 600
FOV = numpy.deg2rad(44)
DISTANCE = (2.6, 3.0)
ASIDE = (0.3, 0.1)
"""How far from the object's middle the camera may look, sideways and up, world units."""
PAPER = numpy.array([0.6, 0.67, 0.76])
UNEVEN = 0.03
"""How much brighter or darker the paper is from place to place, as a share."""
SHADOW = 0.12
"""How dark a spot that no light reaches: faint, for the mask finder takes what differs much from the paper for object."""
SPREAD, LIGHTS, COARSE = 0.7, 96, 4
"""The light is a large one: LIGHTS directions about its own, towards which every COARSE-th pixel looks."""
WARM = numpy.array([1.03, 1.0, 0.95])
BLUR, GRAIN, QUALITY = 0.8, 0.008, 85


def first(family: object) -> int:
    """The first held-out seed of a family whose object stands: some lie at any angle, which no table would bear."""
    seeds = (seed for seed in count(FIRST_SEED) if family_of(seed) is family)
    return next(seed for seed in seeds if stands(HeldOut(seed, HEIGHT).mesh()))


def stands(mesh: trimesh.Trimesh) -> bool:
    """Whether it touches the table in places that are a tenth of its longest side apart, both ways."""
    touching = mesh.vertices[mesh.vertices[:, 2] < mesh.bounds[0, 2] + 0.005]
    return bool((numpy.ptp(touching[:, :2], axis=0) > 0.1).all())


def photograph(seed: int) -> bytes:
    """A JPEG file."""
    rng = numpy.random.default_rng([41, seed])
    held_out = HeldOut(seed, HEIGHT)
    mesh, (elevation_deg, look) = held_out.mesh(), held_out.look()
    elevation, distance = torch.tensor([numpy.deg2rad(elevation_deg)]), torch.tensor([rng.uniform(*DISTANCE)])
    aim = torch.tensor([[0.0, *rng.uniform(-1, 1, 2) * ASIDE]])
    pose = look_at(spherical(elevation, torch.zeros(1), distance).float(), aim.float())
    camera = Cameras(pose, HEIGHT, WIDTH, float(FOV))
    drawn = MeshScene(mesh).draw(camera, supersample=3, **look)
    lit = 1 - SHADOW * shade(mesh, camera, look["light"].direction, rng)
    paper = PAPER * (lit * unevenness(rng))[..., None]
    colour = drawn.image[0].numpy() + (1 - drawn.opacity[0].numpy()) * (paper - 1)  # drawn on white
    colour = scipy.ndimage.gaussian_filter(colour * WARM, (BLUR, BLUR, 0)) + GRAIN * rng.normal(size=colour.shape)
    file = io.BytesIO()
    pixels = numpy.round(255 * colour.clip(0, 1)).astype(numpy.uint8)
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY, optimize=True)
    return file.getvalue()


def shade(mesh: trimesh.Trimesh, camera: Cameras, light: numpy.ndarray, rng: numpy.random.Generator) -> numpy.ndarray:
    """(HEIGHT, WIDTH), the share of the light that the object keeps from the table it stands on; 0 above the horizon."""
    coarse = camera.resized(HEIGHT // COARSE, WIDTH // COARSE)
    origins, directions = (part[0].reshape(-1, 3).double().numpy() for part in rays(coarse))
    down = directions[:, 2] < -1e-3
    far = (mesh.bounds[0, 2] - origins[down, 2]) / directions[down, 2]
    ground = origins[down] + far[:, None] * directions[down] + [0, 0, 1e-4]
    towards = light + SPREAD * rng.normal(size=(LIGHTS, 3))
    towards[:, 2] = numpy.abs(towards[:, 2])  # all lights are above the table
    kept = numpy.zeros(len(directions))
    for direction in towards:
        kept[down] += mesh.ray.intersects_any(ground, numpy.broadcast_to(direction, ground.shape)) / LIGHTS
    soft = scipy.ndimage.gaussian_filter(kept.reshape(coarse.height, coarse.width), 1)
    return scipy.ndimage.zoom(soft, COARSE, order=1)


def unevenness(rng: numpy.random.Generator) -> numpy.ndarray:
    """(HEIGHT, WIDTH) around 1: a slope, a fall-off towards the corners, and some clouds."""
    y, x = numpy.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    slope = rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y
    clouds = scipy.ndimage.gaussian_filter(rng.normal(size=x.shape), 60)
    return 1 + UNEVEN * (slope / 3 - (x**2 + y**2) / 3 + clouds / (3 * clouds.std()))


def main() -> None:
    folder = Path(__file__).with_name("photos")
    folder.mkdir(exist_ok=True)
    for family in FAMILIES:
        path = folder / f"{family.__name__}.jpg"
        seed = first(family)
        path.write_bytes(photograph(seed))
        print(f"{path}: object {seed} ({path.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
