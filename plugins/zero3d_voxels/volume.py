"""The plain volume renderer: equal steps along each ray, emission and absorption. Every faster one is tested against it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import rays
from zero3d.interfaces import RadianceField, Renderer, Representation
from zero3d.values import FAR, Cameras, Step, View


@dataclass
class VolumeConfig:
    """Options of `volume`.

    step_ratio: step as a share of the field's spacing (0.5 in SJC). weight_threshold: samples with a smaller weight lend
    no colour (1e-4 in SJC); they still absorb. far: depth of the background, world units (10 in SJC). jitter: shift each
    ray's samples by a random part of a step while optimising.
    """

    step_ratio: float = 0.5
    weight_threshold: float = 1e-4
    far: float = FAR
    jitter: bool = False

    def __post_init__(self) -> None:
        if not 0.05 <= self.step_ratio <= 4:
            raise ValueError(f"step_ratio: {self.step_ratio}; 0.05 to 4 voxels a step")
        if not 0 <= self.weight_threshold < 0.5:
            raise ValueError(f"weight_threshold: {self.weight_threshold}; 0 to below 0.5")
        if self.far <= 0:
            raise ValueError(f"far: {self.far}; above 0, world units")


@dataclass
class _Samples:
    """Samples of R rays, S each at most: `distance` along the ray and `valid` (R, S); `points` (M, 3) of the valid ones."""

    distance: Tensor
    valid: Tensor
    points: Tensor
    step: float


class VolumeRenderer(Renderer):
    """Volume rendering of a radiance field in plain PyTorch (NeRF, eq. 3; discretised as in SJC)."""

    name: ClassVar[str] = "volume"
    accepts: ClassVar[type[Representation]] = RadianceField
    provides: ClassVar[frozenset[str]] = frozenset({"image", "opacity", "depth", "weights"})
    Config: ClassVar[type[Any]] = VolumeConfig

    def render(
        self,
        representation: Representation,
        cameras: Cameras,
        background: Tensor,
        needs: frozenset[str] = frozenset(),
        step: Step | None = None,
    ) -> View:
        """alpha = 1 - exp(-density step), w = alpha prod(1 - alpha); image = sum w c + (1 - sum w) background."""
        assert isinstance(representation, RadianceField)
        origins, directions = (part.reshape(-1, 3) for part in rays(cameras))
        samples = self._sample(representation, origins, directions, step)
        weights = self._weights(representation, samples)
        opacity = weights.sum(dim=-1)
        colour = self._colour(representation, samples, weights)
        shape = (len(cameras), cameras.height, cameras.width, -1)
        left = (1 - opacity).reshape(shape)
        depth = (weights * samples.distance).sum(dim=-1)
        return View(
            image=colour.reshape(shape) + left * _fitted(background, cameras),
            opacity=opacity.reshape(shape),
            depth=depth.reshape(shape) + left * self.config.far,
            weights=weights.reshape(shape) if "weights" in needs else None,
        )

    def memory_bytes(self, representation: Representation, rays: int) -> int:
        """About 20 floats a sample: places, weights and what autograd keeps of them."""
        assert isinstance(representation, RadianceField)
        side = representation.box[1] - representation.box[0]
        spacing = representation.spacing * self.config.step_ratio
        if side.device.type == "meta":
            return rays * 80 * 256
        return int(rays * 80 * math.ceil(float(side.max()) / spacing))

    def _sample(self, field: RadianceField, origins: Tensor, directions: Tensor, step: Step | None) -> _Samples:
        near, far = _box_interval(origins, directions, field.box.to(origins.dtype))
        size = field.spacing * self.config.step_ratio
        chord = (far - near).clamp(min=0)
        count = math.floor(float(chord.max()) / size) + 1
        offset = torch.arange(count, dtype=origins.dtype, device=origins.device) * size
        if self.config.jitter and step is not None:
            shift = torch.rand(len(origins), 1, generator=step.generator("jitter")).to(origins)
            offset = offset + shift * size
        valid = offset < chord[:, None]
        distance = near[:, None] + offset
        ray, _ = chosen = valid.nonzero(as_tuple=True)
        points = origins[ray] + directions[ray] * distance[chosen][:, None]
        return _Samples(distance, valid, points, size)

    def _weights(self, field: RadianceField, samples: _Samples) -> Tensor:
        density = torch.zeros_like(samples.distance)
        density = density.masked_scatter(samples.valid, field.density(samples.points))
        transmitted = torch.exp(-torch.cumsum(density * samples.step, dim=-1))
        before = torch.cat([torch.ones_like(transmitted[:, :1]), transmitted[:, :-1]], dim=-1)
        return before - transmitted

    def _colour(self, field: RadianceField, samples: _Samples, weights: Tensor) -> Tensor:
        seen = weights[samples.valid] > self.config.weight_threshold
        ray = samples.valid.nonzero()[:, 0][seen]
        share = weights[samples.valid][seen]
        colour = torch.zeros(len(weights), field.channels, dtype=weights.dtype, device=weights.device)
        return colour.index_add(0, ray, share[:, None] * field.features(samples.points[seen]))


def _box_interval(origins: Tensor, directions: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Where each ray enters and leaves the box, distances >= 0; a ray that misses leaves before it enters."""
    safe = torch.where(directions.abs() < 1e-9, torch.full_like(directions, 1e-9), directions)
    a, b = (box[0] - origins) / safe, (box[1] - origins) / safe
    near = torch.minimum(a, b).amax(dim=-1).clamp(min=0)
    return near, torch.maximum(a, b).amin(dim=-1).clamp(min=0)


def _fitted(background: Tensor, cameras: Cameras) -> Tensor:
    """(C,) or (h, w, C) -> broadcastable to (B, H, W, C)."""
    if background.ndim == 1:
        return background
    planes = background.permute(2, 0, 1)[None]
    size = (cameras.height, cameras.width)
    if planes.shape[-2:] != size:
        planes = functional.interpolate(planes, size, mode="bilinear", align_corners=False)
    return planes[0].permute(1, 2, 0)
