"""The renderer: soft rasterisation, so that colours and outlines have gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import check_surface, project, rays
from zero3d.interfaces import Renderer, Representation, SurfaceRepresentation
from zero3d.values import FAR, Cameras, Step, View
from zero3d_surface.fragments import PAIRS, Fragments, has_pytorch3d, rasterize, rasterize_pytorch3d, with_covering

BACKENDS = ("auto", "pytorch3d", "torch")
LEAST = 1e-4
"""A face further from a pixel than where its sigmoid falls below this is not looked at, as in PyTorch3D's tutorials."""


@dataclass
class RasterizerConfig:
    """Options of `rasterizer`.

    blur: softness of the outline, SoftRas's sigma, in squared half-widths of the picture, 1e-8 to 0.1; well below the square
    of a face's size, or the inside turns translucent. gamma: how sharply a nearer face hides another, in units of the
    depth between near and far, 1e-6 to 1. faces_per_pixel: the nearest so many are blended, 1 to 100, and the nearest that
    covers the pixel in any case. backend: auto takes pytorch3d on CUDA where it is installed, torch never does, pytorch3d
    insists on it, on any device.
    """

    blur: float = 1e-5
    gamma: float = 1e-4
    faces_per_pixel: int = 24
    backend: str = "auto"

    def __post_init__(self) -> None:
        for name, low, high in (("blur", 1e-8, 0.1), ("gamma", 1e-6, 1), ("faces_per_pixel", 1, 100)):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low:g} to {high:g}")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend: {self.backend!r}; one of {', '.join(BACKENDS)}")
        if self.backend == "pytorch3d" and not has_pytorch3d():
            raise ValueError(
                "backend: pytorch3d is not installed (plugins/zero3d_surface/README.md says how); or set auto"
            )


class Rasterizer(Renderer):
    """A mesh by soft rasterisation (SoftRas), with PyTorch3D on CUDA where it is installed, else in PyTorch.

    A pixel's opacity is 1 - prod_k (1 - sigmoid(-d_k / blur)), d_k its squared distance from face k, negative inside; its
    colour is that of the faces, weighted by sigmoid(-d_k / blur) exp(z_k / gamma), z_k from 1 near to 0 far (PyTorch3D's
    sigmoid_alpha_blend and softmax_rgb_blend), laid over the background with that opacity. (PyTorch3D lets the softmax mix
    in the background, which leaves the outline the object's colour wherever a face is near.) No light: a vertex's colour
    is what is seen. Normals are the vertices' (of their faces by area), interpolated, unit length, blended as colours are.
    """

    name: ClassVar[str] = "rasterizer"
    accepts: ClassVar[type[Representation]] = SurfaceRepresentation  # type: ignore[type-abstract]
    provides: ClassVar[frozenset[str]] = frozenset({"image", "opacity", "depth", "normals"})
    Config: ClassVar[type[Any]] = RasterizerConfig

    def render(
        self,
        representation: Representation,
        cameras: Cameras,
        background: Tensor,
        needs: frozenset[str] = frozenset(),
        step: Step | None = None,
    ) -> View:
        assert isinstance(representation, SurfaceRepresentation)
        vertices, faces, features = representation.surface()
        check_surface(vertices.detach(), faces, f"representation {representation.name}")
        back = self.behind(background.to(features), cameras)
        each = back if back.ndim == 4 else back.expand(len(cameras), *back.shape)
        facing = vertex_normals(vertices, faces) if "normals" in needs else None
        views = [
            self._one(representation, vertices, cameras[i : i + 1], own.reshape(-1, own.shape[-1]), facing)
            for i, own in enumerate(each)
        ]
        images, opacities, depths, *normals = (torch.stack(parts) for parts in zip(*views, strict=True))
        return View(images, opacities, depths, normals=normals[0] if normals else None)

    def _one(
        self,
        representation: SurfaceRepresentation,
        vertices: Tensor,
        camera: Cameras,
        back: Tensor,
        facing: Tensor | None,
    ) -> list[Tensor]:
        """Image (H, W, C), opacity and depth (H, W, 1) of one view; and normals (H, W, 3) of the vertices' `facing`."""
        height, width = camera.height, camera.width
        faces = representation.surface()[1]
        radius = math.log(1 / LEAST - 1) * self.config.blur
        draw = rasterize_pytorch3d if self._by_pytorch3d(vertices) else rasterize
        flat = in_view(vertices, camera)
        near = draw(flat, faces, height, width, radius, self.config.faces_per_pixel)
        found = with_covering(near, draw(flat, faces, height, width, 0.0, 1))
        outside, weight = self._blend(found)
        opacity = 1 - outside
        features = representation.features_at(found.face.clamp(min=0), found.corners)
        colour = (features * weight[..., None]).sum(dim=1)
        # depth along the view axis -> along the pixel's ray
        ahead = -camera.camera_to_world[0, :3, 2].to(vertices)
        cosine = (rays(camera)[1][0].to(vertices) @ ahead).reshape(-1, 1)
        distance = (weight * found.depth).sum(dim=1, keepdim=True) / cosine
        image = opacity * colour + outside * back
        shape = (height, width, -1)
        depth = opacity * distance + outside * FAR
        drawn = [image, opacity, depth]
        if facing is not None:
            own = facing.index_select(0, faces[found.face.clamp(min=0)].reshape(-1)).reshape(*found.corners.shape, 3)
            between = functional.normalize((own * found.corners[..., None]).sum(dim=-2), dim=-1)
            drawn.append(opacity * (between * weight[..., None]).sum(dim=1))
        return [values.reshape(shape) for values in drawn]

    def _blend(self, found: Fragments) -> tuple[Tensor, Tensor]:
        """What of the background is seen (P, 1), and each face's share of the colour (P, K), summing to 1 or 0."""
        near = -found.distance / self.config.blur
        # log(1 - sigmoid(a)) = logsigmoid(-a), exact also where a face covers the pixel whole
        outside = functional.logsigmoid(-near).sum(dim=1, keepdim=True).exp()
        there = found.face >= 0
        closeness = torch.where(there, 1 - found.depth / FAR, 0.0) / self.config.gamma
        nearest = closeness.detach().amax(dim=1, keepdim=True)
        share = torch.where(there, near.sigmoid() * (closeness - nearest).exp(), 0.0)
        return outside, share / share.sum(dim=1, keepdim=True).clamp(min=1e-10)

    def _by_pytorch3d(self, vertices: Tensor) -> bool:
        if self.config.backend == "auto":
            return vertices.is_cuda and has_pytorch3d()
        return bool(self.config.backend == "pytorch3d")

    def memory_bytes(self, representation: Representation, rays: int) -> int:
        """About 300 bytes a face near a pixel with its graph, and the search for them, a view at a time."""
        return 300 * rays * self.config.faces_per_pixel + 200 * PAIRS


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """(V, 3) of length 1: the mean of the adjoining faces' normals by their area; 0 where there is none."""
    corners = vertices[faces]
    across = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = torch.zeros_like(vertices).index_add(0, faces.reshape(-1), across.repeat_interleave(3, dim=0))
    return functional.normalize(total, dim=-1)


def in_view(vertices: Tensor, camera: Cameras) -> Tensor:
    """(V, 3) world -> places in the picture, and the distance along the view axis (negative behind the camera)."""
    places, _ = project(vertices, camera)
    pose = camera.camera_to_world[0].to(vertices)
    return torch.cat([places[0], ((vertices - pose[:3, 3]) @ -pose[:3, 2])[:, None]], dim=-1)
