"""One training example of one object: an input picture, target pictures around it, and the solid itself on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import torch

from zero3d.geometry import DEFAULT_DISTANCE, look_at, spherical
from zero3d.mesh_views import Light, MeshScene
from zero3d.picture import FIT_SHARE
from zero3d.values import PUBLISHED_FOV, Cameras
from zero3d_procedural.families import make_object
from zero3d_procedural.shapes import Mesh
from zero3d_procedural.solid import solid_share
from zero3d_procedural.texture import random_texture

EXTENT = 0.75
"""Half-side of the cube on which occupancy is kept, world units."""
GRID = 32
"""Its cells along a side; values belong to cell centres."""
FIT_CHANCE = 0.75
"""How often the object is scaled and moved so that its picture obeys `framing: fit`; else its longest side is 1."""
INPUT_ELEVATION_DEG = (-10.0, 60.0)
TARGET_ELEVATION_DEG = (-30.0, 80.0)
TARGET_DISTANCE = (1.6, 2.2)
AMBIENT = (0.35, 0.85)
"""Range of the light's ambient share; its direction is anywhere above, for shading is what tells a face's slope."""


@dataclass(frozen=True)
class Example:
    """rgba (1 + T, H, W, 4) uint8, the input first; poses (1 + T, 4, 4) float32; occupancy (R, R, R) uint8, [x, y, z].

    Occupancy counts in eighths of a cell.
    """

    rgba: numpy.ndarray
    poses: numpy.ndarray
    occupancy: numpy.ndarray


def make_example(seed: int, variant: int, targets: int, size: int) -> Example:
    """Example `variant` of object `seed`, in the frame whose azimuth 0 is the input camera's.

    The input camera stands at DEFAULT_DISTANCE; elevations and target cameras are uniform in the ranges above.
    """
    rng = numpy.random.default_rng([77, seed, variant])
    mesh = make_object(seed)
    turn = rng.uniform(0, 2 * numpy.pi)
    cosine, sine = numpy.cos(turn), numpy.sin(turn)
    mesh.vertices = mesh.vertices @ numpy.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1.0]])
    elevation = numpy.deg2rad(rng.uniform(*INPUT_ELEVATION_DEG))
    pose = _pose(elevation, 0.0, DEFAULT_DISTANCE)
    if rng.random() < FIT_CHANCE:
        fit_to_frame(mesh, pose)
    poses = [pose]
    for _ in range(targets):
        up = numpy.deg2rad(rng.uniform(*TARGET_ELEVATION_DEG))
        poses.append(_pose(up, rng.uniform(0, 2 * numpy.pi), rng.uniform(*TARGET_DISTANCE)))
    stacked = numpy.stack(poses).astype(numpy.float32)
    cameras, texture = Cameras(torch.from_numpy(stacked), size, size), random_texture(rng)
    view = MeshScene(mesh).draw(cameras, light=random_light(rng), texture=texture)
    return Example(straight_rgba(view.image.numpy(), view.opacity.numpy()), stacked, solid_share(mesh, GRID, EXTENT))


def straight_rgba(image: numpy.ndarray, opacity: numpy.ndarray) -> numpy.ndarray:
    """RGB over white and opacity -> uint8 RGBA with straight alpha."""
    colour = numpy.where(opacity > 1e-3, (image - (1 - opacity)) / numpy.maximum(opacity, 1e-3), 1.0)
    return numpy.round(255 * numpy.clip(numpy.concatenate([colour, opacity], -1), 0, 1)).astype(numpy.uint8)


def fit_to_frame(mesh: Mesh, pose: numpy.ndarray) -> None:
    """Scale and move the object, in place, so that its picture is what `framing: fit` makes of any picture of it."""
    half = numpy.tan(PUBLISHED_FOV / 2)
    rotation, eye = pose[:3, :3], pose[:3, 3]
    for _ in range(6):  # perspective makes each correction slightly wrong; it converges fast
        local = (mesh.vertices - eye) @ rotation
        flat = local[:, :2] / (-local[:, 2:] * half)
        low, high = flat.min(axis=0), flat.max(axis=0)
        shift = (low + high) / 2 * half * DEFAULT_DISTANCE
        mesh.apply_translation(-rotation[:, :2] @ shift)
        mesh.apply_scale(2 * FIT_SHARE / float((high - low).max()))


def grid_points(grid: int = GRID, extent: float = EXTENT) -> numpy.ndarray:
    """Cell centres of the cube, (grid^3, 3), x slowest."""
    axis = (numpy.arange(grid) + 0.5) / grid * 2 * extent - extent
    return numpy.stack(numpy.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)


def random_light(rng: numpy.random.Generator) -> Light:
    """From above, at any strength in AMBIENT."""
    direction = rng.normal(size=3)
    direction[2] = abs(direction[2]) + 0.2
    return Light(rng.uniform(*AMBIENT), direction / numpy.linalg.norm(direction))


def _pose(elevation: float, azimuth: float, distance: float) -> numpy.ndarray:
    angles = torch.tensor([elevation, azimuth, distance], dtype=torch.float64).reshape(3, 1)
    return look_at(spherical(*angles))[0].numpy()
