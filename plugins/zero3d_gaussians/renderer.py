"""The renderer: a cloud of Gaussians, splatted."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.interfaces import Renderer, Representation
from zero3d.values import FAR, Cameras, Step, View
from zero3d_gaussians.cloud.gaussians import GaussianCloud
from zero3d_gaussians.drawing import dense
from zero3d_gaussians.drawing.projection import Ellipses, harmonics, project

BACKENDS = ("auto", "numba", "torch", "gsplat")
FURTHEST = 1e6
MOST_PAIRS = 2**28
"""Gaussians times pixels that are drawn densely at once; each takes some 60 bytes with the backward pass."""


@dataclass
class SplatConfig:
    """Options of `splat`.

    near: Gaussians whose centre is nearer along the camera's axis are left out, world units, 1e-4 to 10 (0.01 in gsplat).
    blur: variance added to each ellipse, pixels squared, 0 to 10 (0.3 in 3DGS). antialiased: weaken small Gaussians by what
    `blur` adds to their area (Mip-Splatting), so that they look alike at every size of the picture. far: depth of the
    background, world units. backend: auto is numba's kernel on a CPU and gsplat on CUDA; torch draws every Gaussian at every
    pixel, slowly, as the others' reference.
    """

    near: float = 0.01
    blur: float = 0.3
    antialiased: bool = False
    far: float = FAR
    backend: str = "auto"

    def __post_init__(self) -> None:
        if not 1e-4 <= self.near <= 10:
            raise ValueError(f"near: {self.near}; 1e-4 to 10 world units")
        if not 0 <= self.blur <= 10:
            raise ValueError(f"blur: {self.blur}; 0 to 10 pixels squared")
        if not 0 < self.far <= FURTHEST:
            raise ValueError(f"far: {self.far}; above 0, at most {FURTHEST:g} world units")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend: {self.backend!r}; one of {', '.join(BACKENDS)}")
        if self.backend == "gsplat" and not (has_gsplat() and torch.cuda.is_available()):
            raise ValueError(
                "backend: gsplat needs a CUDA device and pip install 'zero3d[gsplat]'; set renderer.backend=auto"
            )


class SplatRenderer(Renderer):
    """3D Gaussian splatting: a tiled kernel of our own on a CPU (numba), gsplat's on CUDA.

    Depth is along the unit ray: the weighted mean of the centres' distances along the camera's axis, times each pixel's
    ray length. Normals are the Gaussians' shortest axes, turned to the camera; of round ones they mean nothing.
    """

    name: ClassVar[str] = "splat"
    accepts: ClassVar[type[Representation]] = GaussianCloud
    provides: ClassVar[frozenset[str]] = frozenset({"image", "opacity", "depth", "normals"})
    Config: ClassVar[type[Any]] = SplatConfig
    extras: ClassVar[Mapping[str, str]] = {"gsplat": "gsplat"}

    def render(
        self,
        representation: Representation,
        cameras: Cameras,
        background: Tensor,
        needs: frozenset[str] = frozenset(),
        step: Step | None = None,
    ) -> View:
        """Exact pictures (without a step) of RGB are held within [0, 1]; while optimising a sum of colours may pass 1."""
        assert isinstance(representation, GaussianCloud)
        cloud, height, width = representation, cameras.height, cameras.width
        seen = cloud.watched(len(cameras), width, height, step)
        axes = cloud.axes()
        ellipses = project(
            cloud.means,
            axes,
            cloud.opacities(),
            cameras,
            self.config.blur,
            self.config.near,
            self.config.antialiased,
            seen.shift if seen else None,
        )
        if seen:
            seen.visible = ellipses.visible
        features = [_colours(cloud, cameras)]
        if "depth" in needs:
            features.append(ellipses.z[..., None])
        if "normals" in needs:
            features.append(_normals(cloud.means, axes, cameras))
        absolute = seen.absolute if seen else None
        sums, opacity = self._composite(ellipses, torch.cat(features, dim=-1), height, width, absolute)
        left, channels = 1 - opacity, cloud.channels
        image = sums[..., :channels] + left * self.behind(background, cameras)
        if step is None and channels == 3:
            image = image.clamp(0, 1)
        depth = None
        if "depth" in needs:
            depth = sums[..., channels : channels + 1] * _ray_lengths(cameras, image.dtype) + left * self.config.far
        return View(image, opacity, depth, normals=sums[..., -3:] if "normals" in needs else None)

    def memory_bytes(self, representation: Representation, rays: int) -> int:
        return self.memory_for(representation, rays, 1)

    def memory_for(self, representation: Representation, rays: int, views: int) -> int:
        """Some 200 bytes a ray, and 1,500 for each Gaussian in each view."""
        assert isinstance(representation, GaussianCloud)
        return rays * 200 + 1500 * representation.most * views

    def _composite(
        self, ellipses: Ellipses, features: Tensor, height: int, width: int, absolute: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        backend = self.config.backend
        if backend == "auto":
            backend = {"cpu": "numba", "cuda": "gsplat" if has_gsplat() else "torch"}.get(features.device.type, "torch")
        plain = features.dtype in (torch.float32, torch.float64)
        if backend == "numba" and features.device.type == "cpu" and plain:
            from zero3d_gaussians.drawing import tiles

            return tiles.composite(ellipses, features, height, width, absolute)
        if backend == "gsplat" and features.device.type == "cuda":
            from zero3d_gaussians.drawing import cuda

            return cuda.composite(ellipses, features, height, width, absolute)
        if len(features) * features.shape[1] * height * width > MOST_PAIRS:
            raise UserError(
                f"renderer: {features.shape[1]} Gaussians at {width}x{height} pixels are too many to draw without a kernel; "
                "pip install 'zero3d[gsplat]' on CUDA, or device=cpu"
            )
        return dense.composite(ellipses, features, height, width, absolute)


def has_gsplat() -> bool:
    """Whether gsplat is installed; it is imported when something is drawn."""
    return importlib.util.find_spec("gsplat") is not None


def _colours(cloud: GaussianCloud, cameras: Cameras) -> Tensor:
    """(B, N, C): RGB not below 0, as 3DGS has it, or the latent."""
    coefficients = cloud.harmonics()
    if coefficients.shape[1] == 1:
        return cloud.shown(coefficients[:, 0]).expand(len(cameras), -1, -1)
    towards = functional.normalize(cloud.means[None] - cameras.position.to(cloud.means)[:, None], dim=-1)
    return cloud.shown_harmonics(harmonics(coefficients, towards))


def _normals(means: Tensor, axes: Tensor, cameras: Cameras) -> Tensor:
    """(B, N, 3): each one's shortest axis, a unit vector, on the camera's side."""
    shortest = axes.detach().norm(dim=1).argmin(dim=-1)
    axis = functional.normalize(axes[torch.arange(len(axes), device=axes.device), :, shortest], dim=-1)
    towards = cameras.position.to(means)[:, None] - means.detach()[None]
    side = torch.where((towards * axis.detach()).sum(dim=-1, keepdim=True) < 0, -1.0, 1.0)
    return side.to(axis) * axis


def _ray_lengths(cameras: Cameras, dtype: torch.dtype) -> Tensor:
    """(B or 1, H, W, 1): the length of each pixel's ray where it is 1 along the camera's axis."""
    half = torch.tan(0.5 * cameras.fovs.to(dtype))[:, None, None]
    across, down = (
        torch.arange(n, device=half.device, dtype=dtype) + 0.5 - n / 2 for n in (cameras.width, cameras.height)
    )
    off = (across.square() + down.square()[:, None]) * (2 * half / cameras.width).square()
    return (1 + off).sqrt()[..., None]
