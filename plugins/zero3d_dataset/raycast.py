"""The renderer `raycast`: Embree finds what each ray meets; matt surfaces in the published light (see light.py)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy
import torch

from zero3d.geometry import project, rays
from zero3d.values import Cameras
from zero3d_dataset.light import LAMP, dot, filmic, radiance, reflectance
from zero3d_dataset.renderer import AreaLight, ObjectRenderer, Order
from zero3d_dataset.surface import Surface, read_surface

LAYERS = 4
"""Surfaces that a ray may pass through or stop at: the published three transparent bounces and the last one."""

STEP = 1e-4
"""How far off a surface the next ray starts, world units."""


class RayCaster(ObjectRenderer):
    """Draws with `supersample`^2 rays a pixel; colours are averaged in linear light, opacity over the pixel."""

    def __init__(self, supersample: int = 2) -> None:
        self.supersample = supersample

    def draw(self, order: Order) -> Iterator[numpy.ndarray]:
        self.notes = ()  # of another object, if this one cannot be read
        scene = SurfaceScene(read_surface(order.mesh, order.y_up, max_texture=4 * order.cameras.width))
        self.notes = scene.surface.notes
        for index in range(len(order.cameras)):
            colour, opacity = scene.draw(order.cameras[index : index + 1], self.supersample, order.light)
            shown = numpy.concatenate([filmic(colour), opacity], axis=-1)
            yield numpy.round(255 * shown).astype(numpy.uint8)


class SurfaceScene:
    """A surface that rays can be sent at."""

    def __init__(self, surface: Surface) -> None:
        from embreex import rtcore_scene
        from embreex.mesh_construction import TriangleMesh

        self.surface = surface
        self._scene = rtcore_scene.EmbreeScene()
        TriangleMesh(self._scene, surface.corners)
        ends = surface.corners.min(axis=(0, 1)), surface.corners.max(axis=(0, 1))
        box = [[ends[i][0], ends[j][1], ends[k][2]] for i, j, k in numpy.ndindex(2, 2, 2)]
        self._box = torch.from_numpy(numpy.array(box))
        edges = surface.corners[:, 1:] - surface.corners[:, :1]
        flat = numpy.cross(edges[:, 0], edges[:, 1])
        self._flat = flat / (numpy.linalg.norm(flat, axis=1, keepdims=True) + 1e-30)

    def draw(self, camera: Cameras, supersample: int, light: AreaLight | None) -> tuple[numpy.ndarray, numpy.ndarray]:
        """One view: straight linear RGB (H, W, 3), 0 where nothing is, and opacity (H, W, 1).

        light: None for the surfaces' own colours.
        """
        height, width = camera.height, camera.width
        rows, columns = self._window(camera)
        camera = replace(camera, camera_to_world=camera.camera_to_world.float())
        fine = camera.resized(height * supersample, width * supersample)
        part = (slice(0, 1), *(slice(w.start * supersample, w.stop * supersample) for w in (rows, columns)))
        origins, directions = (ray[part].reshape(-1, 3).numpy() for ray in rays(fine))
        sent, opacity = self._trace(origins, directions, light)
        shape = (rows.stop - rows.start, supersample, columns.stop - columns.start, supersample, -1)
        sent, opacity = _averaged(sent.reshape(shape)), _averaged(opacity.reshape(shape))
        picture, mask = numpy.zeros((height, width, 3), numpy.float32), numpy.zeros((height, width, 1), numpy.float32)
        picture[rows, columns] = sent / numpy.maximum(opacity, 1e-6)  # straight alpha: of what is there, alone
        mask[rows, columns] = opacity
        return picture, mask

    def _window(self, camera: Cameras) -> tuple[slice, slice]:
        """Rows and columns that the surface can be seen in."""
        places = project(self._box.to(camera.camera_to_world), camera)[0][0].numpy()

        def span(axis: int, pixels: int) -> slice:
            first, last = ((edge + 1) / 2 * pixels for edge in (places[:, axis].min(), places[:, axis].max()))
            start = min(max(math.floor(first) - 1, 0), pixels - 1)
            return slice(start, max(min(math.ceil(last) + 1, pixels), start + 1))

        return span(1, camera.height), span(0, camera.width)

    def _trace(
        self, origins: numpy.ndarray, directions: numpy.ndarray, light: AreaLight | None
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """What comes back along each ray, (N, 3), times the opacity (N, 1) of all that it met."""
        sent = numpy.zeros((len(origins), 3), numpy.float32)
        passing = numpy.ones((len(origins), 1), numpy.float32)
        alive = numpy.arange(len(origins))
        for _ in range(LAYERS):
            found = self._scene.run(origins, directions, output=True)
            hit = found["primID"] >= 0
            alive, directions = alive[hit], directions[hit]
            if not len(alive):
                break
            points = origins[hit] + found["tfar"][hit, None] * directions
            colour, alpha = self._shade(
                found["primID"][hit], found["u"][hit], found["v"][hit], points, directions, light
            )
            sent[alive] += passing[alive] * alpha * colour
            passing[alive] *= 1 - alpha
            further = passing[alive, 0] > 1e-3
            alive, directions = alive[further], numpy.ascontiguousarray(directions[further])
            origins = numpy.ascontiguousarray(points[further] + STEP * directions)
            if not len(alive):
                break
        return sent, 1 - passing

    def _shade(
        self,
        face: numpy.ndarray,
        u: numpy.ndarray,
        v: numpy.ndarray,
        points: numpy.ndarray,
        directions: numpy.ndarray,
        light: AreaLight | None,
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Linear RGB (N, 3) and opacity (N, 1) of the places met."""
        surface = self.surface
        shares = [share[:, None].astype(numpy.float32) for share in (1 - u - v, u, v)]

        def between(corners: numpy.ndarray) -> numpy.ndarray:
            """(F, 3, C) at the corners -> (N, C) at the places; numpy's sum over so short an axis is slow."""
            found = corners[face]
            value: numpy.ndarray = shares[0] * found[:, 0] + shares[1] * found[:, 1] + shares[2] * found[:, 2]
            return value

        uv, own = between(surface.uv), between(surface.colour)
        colour, alpha = numpy.empty((len(face), 3), numpy.float32), numpy.empty((len(face), 1), numpy.float32)
        glow = numpy.zeros((len(face), 3), numpy.float32)
        which = surface.material[face]
        for index in numpy.unique(which):
            chosen = which == index
            material = surface.materials[index]
            colour[chosen], alpha[chosen] = material.colour(uv[chosen], own[chosen])
            glow[chosen] = material.emission(uv[chosen])
        if light is None:
            return colour, alpha
        flat, normals = self._flat[face], between(surface.normals)
        flat *= -numpy.sign(dot(flat, directions))[:, None]  # both sides of a surface are lit
        normals /= numpy.maximum(numpy.sqrt(dot(normals, normals)), 1e-6)[:, None]
        normals[dot(normals, flat) < 0] *= -1
        towards = LAMP.astype(numpy.float32) - points
        seen = dot(flat, towards) > 0
        off = numpy.ascontiguousarray((points + STEP * flat)[seen])
        if len(off):
            seen[seen] = self._scene.run(off, numpy.ascontiguousarray(towards[seen])) < 0
        return reflectance(colour) * radiance(normals, points, seen, light) + glow, alpha


def _averaged(fine: numpy.ndarray) -> numpy.ndarray:
    """(H, S, W, S, C) -> (H, W, C); numpy's mean over such short axes is slow."""
    total = numpy.zeros_like(fine[:, 0, :, 0])
    for i, j in numpy.ndindex(fine.shape[1], fine.shape[3]):
        total += fine[:, i, :, j]
    return total / (fine.shape[1] * fine.shape[3])
