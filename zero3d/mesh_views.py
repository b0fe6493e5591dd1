"""Pictures of a known mesh by ray casting (Embree): for the oracle teacher, training data and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch

from zero3d.geometry import rays
from zero3d.values import FAR, Cameras, View

AMBIENT = 0.75
"""The share of the default light that comes from everywhere."""
LIGHT = numpy.array([0.45, 0.3, 0.84]) / numpy.linalg.norm([0.45, 0.3, 0.84])
"""Towards the default light, a unit vector in world axes."""
Texture = Callable[[numpy.ndarray, numpy.ndarray], numpy.ndarray]
"""From points (N, 3) on a surface and its colours there (N, 3), in [0, 1], to other colours."""


@dataclass(frozen=True)
class Light:
    """A share `ambient` of the light comes from everywhere; the rest from `direction` (3,), a unit vector towards it.

    It stays with the object, whatever the camera, so that views agree.
    """

    ambient: float = AMBIENT
    direction: numpy.ndarray = field(default_factory=LIGHT.copy)


DEFAULT_LIGHT = Light()
"""What oracles and evaluation draw under."""


class MeshScene:
    """A mesh (trimesh.Trimesh, world axes) ready to be drawn many times."""

    def __init__(self, mesh: Any) -> None:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        self.mesh = mesh
        self._corners = numpy.ascontiguousarray(mesh.vertices[mesh.faces], dtype=numpy.float32)
        self._scene = rtcore_scene.EmbreeScene()
        TriangleMesh(self._scene, self._corners)
        visual = mesh.visual
        self._textured = visual.kind == "texture" and visual.uv is not None
        if self._textured:
            self._attribute = numpy.asarray(visual.uv)[mesh.faces]
        elif visual.kind == "vertex":
            self._attribute = visual.vertex_colors[mesh.faces][..., :3] / 255.0
        else:
            self._attribute = numpy.repeat(visual.face_colors[:, None, :3] / 255.0, 3, axis=1)

    def draw(
        self,
        cameras: Cameras,
        supersample: int = 2,
        light: Light | None = DEFAULT_LIGHT,
        texture: Texture | None = None,
        normals: bool = False,
    ) -> View:
        """Draw B views.

        Args:
            supersample: rays per pixel side; colours, opacity and depth are averaged over them.
            light: None for the bare surface colour.
            texture: from points (N, 3) on the surface and its colours there (N, 3) to other colours.
            normals: whether to fill the view's, those of the triangles, towards the camera.

        Returns:
            image (B, H, W, 3) on white, opacity, and depth along the unit ray + (1 - opacity) * far.
        """
        fine = cameras.resized(cameras.height * supersample, cameras.width * supersample).to("cpu")
        origins, directions = (part.float() for part in rays(fine))
        colour, hit, distance, towards = self._cast(
            origins.reshape(-1, 3).numpy(), directions.reshape(-1, 3).numpy(), light, texture, normals
        )
        shape = (len(cameras), cameras.height, supersample, cameras.width, supersample)

        def mean(values: numpy.ndarray) -> torch.Tensor:
            return torch.from_numpy(values.reshape(*shape, -1)).float().mean(dim=(2, 4))

        opacity = mean(hit)
        seen = mean(towards) if normals else None
        return View(mean(colour), opacity, mean(numpy.where(hit, distance, FAR)), normals=seen)

    def _cast(
        self,
        origins: numpy.ndarray,
        directions: numpy.ndarray,
        light: Light | None,
        texture: Texture | None,
        normals: bool,
    ) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """Colour on white (N, 3), hit (N,), distance (N,) and, if asked for, normal (N, 3) of each ray's first surface."""
        origins, directions = (numpy.ascontiguousarray(a, dtype=numpy.float32) for a in (origins, directions))
        found = self._scene.run(origins, directions, output=True)
        face = found["primID"]
        hit = face >= 0
        colour = numpy.ones((len(face), 3))
        chosen, u, v = face[hit], found["u"][hit][:, None], found["v"][hit][:, None]
        corners = self._attribute[chosen]
        value = (1 - u - v) * corners[:, 0] + u * corners[:, 1] + v * corners[:, 2]
        if self._textured:
            value = self.mesh.visual.material.to_color(value)[:, :3] / 255.0
        if texture is not None:
            value = texture(origins[hit] + directions[hit] * found["tfar"][hit, None], value)
        towards = numpy.zeros((len(face), 3) if normals else (0, 3))
        if light is not None or normals:
            normal = self._facing(chosen, directions[hit])
        if light is not None:
            lit = numpy.clip(normal @ light.direction, 0, 1)[:, None]
            value = value * (light.ambient + (1 - light.ambient) * lit)
        if normals:
            towards[hit] = normal
        colour[hit] = value
        return colour, hit, found["tfar"], towards

    def _facing(self, faces: numpy.ndarray, directions: numpy.ndarray) -> numpy.ndarray:
        """Unit normals (N, 3) of triangles, on the side that rays along `directions` come from."""
        edges = self._corners[faces]
        normal = numpy.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
        normal /= numpy.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
        facing: numpy.ndarray = normal * -numpy.sign((normal * directions).sum(axis=1, keepdims=True))
        return facing
