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
from zero3d_procedural.texture import Pattern, random_texture

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


@dataclass(frozen=True)
class Scene:
    """An object's place, what it looks like and from where it is seen: an example that is not drawn yet.

    `placement` (3, 4) takes the object's own vertices to the world; poses (1 + T, 4, 4) float32, the input's first.
    """

    placement: numpy.ndarray
    poses: numpy.ndarray
    light: Light
    pattern: Pattern | None


def make_example(seed: int, variant: int, targets: int, size: int) -> Example:
    """Example `variant` of object `seed`, drawn by ray casting. See `make_scene`."""
    mesh = make_object(seed)
    scene = make_scene(mesh, seed, variant, targets)
    mesh.vertices = mesh.vertices @ scene.placement[:, :3].T + scene.placement[:, 3]
    cameras = Cameras(torch.from_numpy(scene.poses), size, size)
    view = MeshScene(mesh).draw(cameras, light=scene.light, texture=scene.pattern)
    rgba = straight_rgba(view.image.numpy(), view.opacity.numpy())
    return Example(rgba, scene.poses, solid_share(mesh, GRID, EXTENT))


def make_scene(mesh: Mesh, seed: int, variant: int, targets: int) -> Scene:
    """Scene `variant` of object `seed`, in the frame whose azimuth 0 is the input camera's.

    The input camera stands at DEFAULT_DISTANCE; elevations and target cameras are uniform in the ranges above.
    """
    rng = numpy.random.default_rng([77, seed, variant])
    turn = rng.uniform(0, 2 * numpy.pi)
    cosine, sine = numpy.cos(turn), numpy.sin(turn)
    placement = numpy.array([[cosine, -sine, 0, 0], [sine, cosine, 0, 0], [0, 0, 1.0, 0]])
    elevation = numpy.deg2rad(rng.uniform(*INPUT_ELEVATION_DEG))
    pose = _pose(elevation, 0.0, DEFAULT_DISTANCE)
    if rng.random() < FIT_CHANCE:
        scale, shift = fit_to_frame(mesh.vertices @ placement[:, :3].T, pose)
        placement = numpy.concatenate([scale * placement[:, :3], shift[:, None]], axis=1)
    poses = [pose]
    for _ in range(targets):
        up = numpy.deg2rad(rng.uniform(*TARGET_ELEVATION_DEG))
        poses.append(_pose(up, rng.uniform(0, 2 * numpy.pi), rng.uniform(*TARGET_DISTANCE)))
    pattern = random_texture(rng)
    return Scene(placement, numpy.stack(poses).astype(numpy.float32), random_light(rng), pattern)


def straight_rgba(image: numpy.ndarray, opacity: numpy.ndarray) -> numpy.ndarray:
    """RGB over white and opacity -> uint8 RGBA with straight alpha."""
    colour = numpy.where(opacity > 1e-3, (image - (1 - opacity)) / numpy.maximum(opacity, 1e-3), 1.0)
    return numpy.round(255 * numpy.clip(numpy.concatenate([colour, opacity], -1), 0, 1)).astype(numpy.uint8)


def fit_to_frame(vertices: numpy.ndarray, pose: numpy.ndarray) -> tuple[float, numpy.ndarray]:
    """Scale s and shift (3,): s * vertices + shift are seen from there as `framing: fit` makes of any picture of them."""
    half = numpy.tan(PUBLISHED_FOV / 2)
    rotation, eye = pose[:3, :3], pose[:3, 3]
    scale, shift = 1.0, numpy.zeros(3)
    for _ in range(6):  # perspective makes each correction slightly wrong; it converges fast
        local = (scale * vertices + shift - eye) @ rotation
        flat = local[:, :2] / (-local[:, 2:] * half)
        low, high = flat.min(axis=0), flat.max(axis=0)
        growth = 2 * FIT_SHARE / float((high - low).max())
        aside = (low + high) / 2 * half * DEFAULT_DISTANCE
        scale, shift = growth * scale, growth * (shift - rotation[:, :2] @ aside)
    return scale, shift


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
