"""Radiance fields with a known surface, and a way to export them without a run."""

import math

import torch
from torch import Tensor

from zero3d.geometry import orbit, rays
from zero3d.interfaces import ExportSubject, RadianceField
from zero3d.values import FAR, View
from zero3d_mesh.marching_cubes import MarchingCubes, MarchingCubesConfig

INPUT = orbit(20.0, 0.0, 48)


class Field(RadianceField):
    """`shape(points)` -> density (N,), `paint(points)` -> (N, C)."""

    name = "known"

    def __init__(self, shape, paint=None, box=1.0, spacing=0.02):
        super().__init__(None)
        self.shape, self.paint = shape, paint or (lambda points: torch.full((len(points), 3), 0.5))
        self.channels, self.spacing = 3, spacing
        self.register_buffer("box", torch.tensor([[-box] * 3, [box] * 3]))

    def initialise(self, step):
        pass

    def density(self, points):
        return self.shape(points)

    def features(self, points):
        return self.paint(points)


def ball(points: Tensor, radius: float, centre=(0.0, 0.0, 0.0), density: float = 100.0, edge: float = 0.04) -> Tensor:
    """`density` inside, falling linearly to 0 over `edge` around the surface."""
    apart = (points - torch.tensor(centre)).norm(dim=-1)
    return density * ((radius - apart) / edge + 0.5).clamp(0, 1)


def ring(points: Tensor, major: float = 0.5, minor: float = 0.2, density: float = 100.0, edge: float = 0.04) -> Tensor:
    """A torus about the z axis."""
    apart = torch.stack([points[:, :2].norm(dim=-1) - major, points[:, 2]]).norm(dim=0)
    return density * ((minor - apart) / edge + 0.5).clamp(0, 1)


def march(field, cameras, near=1.1, far=2.9, samples=60) -> View:
    """An independent volume renderer: plain sums at fixed depths, on white."""
    origins, directions = rays(cameras)
    depths = near + (torch.arange(samples) + 0.5) * (far - near) / samples
    points = origins[..., None, :] + depths[:, None] * directions[..., None, :]
    flat = points.reshape(-1, 3)
    inside = ((flat > field.box[0]) & (flat < field.box[1])).all(dim=-1)
    with torch.no_grad():
        alpha = 1 - torch.exp(-field.density(flat) * inside * (far - near) / samples)
    alpha = alpha.reshape(points.shape[:-1])
    through = torch.cumprod(torch.cat([torch.ones_like(alpha[..., :1]), 1 - alpha[..., :-1]], dim=-1), dim=-1)
    weights = alpha * through
    features = field.features(flat).reshape(*points.shape[:-1], -1)
    opacity = weights.sum(dim=-1, keepdim=True)
    image = (weights[..., None] * features).sum(dim=-2) + 1 - opacity
    return View(image, opacity, (weights * depths).sum(dim=-1, keepdim=True) + (1 - opacity) * FAR)


def subject(field, decode=None) -> ExportSubject:
    """`decode` given: the features are a latent."""
    return ExportSubject(
        representation=field,
        draw=lambda cameras: march(field, cameras),
        decode=decode or (lambda image: image),
        decodes_pixelwise=decode is None,
        input_camera=INPUT,
        resolution=48,
    )


def export(field, path, decode=None, **options):
    """(the mesh as read back in world axes, the report)."""
    from zero3d.mesh_files import load_mesh

    report = MarchingCubes(MarchingCubesConfig(**options)).export(subject(field, decode), path)
    return load_mesh(path), report


def volume(radius: float) -> float:
    """Of a ball."""
    return 4 / 3 * math.pi * radius**3
