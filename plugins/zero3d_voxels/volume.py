"""The plain volume renderer: equal steps along each ray, emission and absorption."""

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
from zero3d_voxels.sampling import box_interval, count_samples, jitter_shift

LARGEST = 1e6
"""World units; the object's longest side is 1."""


@dataclass
class VolumeConfig:
    """Options of `volume`.

    step_ratio: step as a share of the field's spacing, 0.05 to 4 (0.5 in SJC). weight_threshold: samples with a smaller
    weight lend no colour, 0 to below 0.5 (1e-4 in SJC); they still absorb. far: depth of the background, world units
    (10 in SJC). jitter: shift each ray's samples by a random part of a step while optimising.
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
        if not 0 < self.far <= LARGEST:
            raise ValueError(f"far: {self.far}; above 0, at most {LARGEST:g} world units")


@dataclass
class _Samples:
    """At most S samples on each of R rays, `step` apart.

    `origins`, `directions` (3, R): one row an axis, for that is how points are built fastest. `distance` (R, S) along
    the rays. `valid`: which samples lie inside the box, as indices into the flattened (R, S).
    """

    origins: Tensor
    directions: Tensor
    distance: Tensor
    valid: Tensor
    step: float

    def points(self, chosen: Tensor) -> Tensor:
        """World points (N, 3) of flat indices (N,)."""
        ray = chosen // self.distance.shape[1]
        distance = self.distance.flatten().index_select(0, chosen)
        axes = zip(self.origins, self.directions, strict=True)
        return torch.stack([o.index_select(0, ray).addcmul(d.index_select(0, ray), distance) for o, d in axes]).T


class VolumeRenderer(Renderer):
    """Volume rendering of a radiance field in plain PyTorch (NeRF, eq. 3; discretised as in SJC)."""

    name: ClassVar[str] = "volume"
    accepts: ClassVar[type[Representation]] = RadianceField  # type: ignore[type-abstract]
    provides: ClassVar[frozenset[str]] = frozenset({"image", "opacity", "depth", "weights", "distances"})
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
            image=colour.reshape(shape) + left * self.behind(background, cameras),
            opacity=opacity.reshape(shape),
            depth=depth.reshape(shape) + left * self.config.far,
            weights=weights.reshape(shape) if "weights" in needs else None,
            distances=samples.distance.reshape(shape) if "distances" in needs else None,
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
        near, far = box_interval(origins, directions, field.box.to(origins.dtype))
        size = field.spacing * self.config.step_ratio
        chord = (far - near).clamp(min=0)
        count = count_samples(float(chord.max()), size)
        offset = torch.arange(count, dtype=origins.dtype, device=origins.device) * size
        shift = jitter_shift(self.config.jitter, step, origins)
        if shift is not None:
            offset = offset + shift * size
        valid = (offset < chord[:, None]).flatten().nonzero()[:, 0]
        return _Samples(origins.T.contiguous(), directions.T.contiguous(), near[:, None] + offset, valid, size)

    def _weights(self, field: RadianceField, samples: _Samples) -> Tensor:
        density = samples.distance.new_zeros(samples.distance.numel())
        density = density.scatter(0, samples.valid, field.density(samples.points(samples.valid)))
        thickness = torch.cumsum(density.reshape(samples.distance.shape) * samples.step, dim=-1)
        transmitted = functional.pad(torch.exp(-thickness), (1, 0), value=1.0)
        return transmitted[:, :-1] - transmitted[:, 1:]

    def _colour(self, field: RadianceField, samples: _Samples, weights: Tensor) -> Tensor:
        """Sum of weight times feature over the samples that are seen."""
        flat = weights.flatten()
        seen = (flat.detach() > self.config.weight_threshold).nonzero()[:, 0]
        points, ray = samples.points(seen), seen // weights.shape[1]
        if field.takes_directions:
            features = field.features_seen(points, samples.directions.index_select(1, ray).T)
        else:
            features = field.features(points)
        share = flat.index_select(0, seen)[:, None] * features
        return share.new_zeros(len(weights), field.channels).index_add(0, ray, share)
