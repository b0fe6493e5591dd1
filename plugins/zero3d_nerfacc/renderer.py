"""The `nerfacc` renderer: marching that passes over empty space, composited with nerfacc's formulas."""

from __future__ import annotations

import importlib.util
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.geometry import rays
from zero3d.interfaces import RadianceField, Renderer, Representation
from zero3d.values import FAR, Cameras, Step, View
from zero3d_nerfacc.marching import Samples, check_box, march, occupied_cells

BACKENDS = ("auto", "torch", "cuda")
LEAST_SLOPE = 1e-6
"""Of density, per world unit and world unit, below which a normal loses length."""


FURTHEST = 1e6


@dataclass
class NerfaccConfig:
    """Options of `nerfacc`.

    step_ratio: step as a share of the field's spacing, 0.05 to 4. weight_threshold: samples with a smaller weight lend
    no colour and no normal, 0 to below 0.5; they still absorb. far: depth of the background, world units. jitter: shift
    each ray's samples by a random part of a step while optimising. cells: of the map of empty space, along the box's
    longest side at most, 1 to 512. tolerance: how much of a ray's light all the space passed over may absorb, as far as
    the map tells; 0 (nothing is passed over) to 0.1. backend: auto marches with nerfacc's kernels on CUDA where they
    can be had, torch never does, cuda insists on them.
    """

    step_ratio: float = 0.5
    weight_threshold: float = 1e-4
    far: float = FAR
    jitter: bool = False
    cells: int = 64
    tolerance: float = 1e-3
    backend: str = "auto"

    def __post_init__(self) -> None:
        if not has_nerfacc():
            raise ValueError(
                "type: nerfacc is not installed: pip install 'zero3d[nerfacc]', "
                "or take another renderer, renderer.type=volume"
            )
        if not 0.05 <= self.step_ratio <= 4:
            raise ValueError(f"step_ratio: {self.step_ratio}; 0.05 to 4 of the field's spacing a step")
        if not 0 <= self.weight_threshold < 0.5:
            raise ValueError(f"weight_threshold: {self.weight_threshold}; 0 to below 0.5")
        if not 0 < self.far <= FURTHEST:
            raise ValueError(f"far: {self.far}; above 0, at most {FURTHEST:g} world units")
        if not 1 <= self.cells <= 512:
            raise ValueError(f"cells: {self.cells}; 1 to 512 along the longest side")
        if not 0 <= self.tolerance <= 0.1:
            raise ValueError(f"tolerance: {self.tolerance}; 0 to 0.1 of a ray's light")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend: {self.backend!r}; one of {', '.join(BACKENDS)}")
        if self.backend == "cuda" and not has_kernels():
            raise ValueError(
                "backend: nerfacc's kernels need a CUDA device, and its compiler nvcc or a wheel of nerfacc with kernels; "
                "set renderer.backend=auto, or take another renderer, renderer.type=volume"
            )


class NerfaccRenderer(Renderer):
    """Volume rendering that passes over empty space, with nerfacc: on CUDA its kernels, else its formulas in PyTorch."""

    name: ClassVar[str] = "nerfacc"
    accepts: ClassVar[type[Representation]] = RadianceField  # type: ignore[type-abstract]
    provides: ClassVar[frozenset[str]] = frozenset({"image", "opacity", "depth", "weights", "distances", "normals"})
    Config: ClassVar[type[Any]] = NerfaccConfig
    extras: ClassVar[Mapping[str, str]] = {"nerfacc": "nerfacc"}

    def render(
        self,
        representation: Representation,
        cameras: Cameras,
        background: Tensor,
        needs: frozenset[str] = frozenset(),
        step: Step | None = None,
    ) -> View:
        """As `volume`, each sample in the middle of its step. Normals are each ray's weighted sum of the unit normals."""
        from nerfacc import accumulate_along_rays

        assert isinstance(representation, RadianceField)
        field, (origins, directions) = representation, (part.reshape(-1, 3) for part in rays(cameras))
        samples = self._samples(field, origins, directions, step)
        points = origins[samples.ray] + samples.middle[:, None] * directions[samples.ray]
        weights = self._weights(samples, field.density(points), len(origins))

        def along(weight: Tensor, value: Tensor | None, ray: Tensor) -> Tensor:
            summed: Tensor = accumulate_along_rays(weight, value, ray, len(origins))
            return summed.reshape(len(cameras), cameras.height, cameras.width, -1)

        seen = (weights.detach() > self.config.weight_threshold).nonzero()[:, 0]
        seen_weights, seen_points, seen_rays = weights[seen], points[seen], samples.ray[seen]
        opacity = along(weights, None, samples.ray)
        left = 1 - opacity
        seen_from = directions[seen_rays] if field.takes_directions else None
        features = field.features(seen_points) if seen_from is None else field.features_seen(seen_points, seen_from)
        colour = along(seen_weights, features, seen_rays)
        normals = None
        if "normals" in needs:
            normals = along(seen_weights, field.normals(seen_points, LEAST_SLOPE), seen_rays)
        return View(
            image=colour + left * self.behind(background, cameras),
            opacity=opacity,
            depth=along(weights, samples.middle[:, None], samples.ray) + left * self.config.far,
            weights=_dense(samples, weights).reshape(*opacity.shape[:3], -1) if "weights" in needs else None,
            distances=_dense(samples, samples.middle).reshape(*opacity.shape[:3], -1) if "distances" in needs else None,
            normals=normals,
        )

    def memory_bytes(self, representation: Representation, rays: int) -> int:
        """As `volume`, about 20 floats a sample, as if nothing were passed over: at the start nothing may be."""
        assert isinstance(representation, RadianceField)
        box = representation.box
        if box.device.type == "meta":
            return rays * 80 * 256
        size = representation.spacing * self.config.step_ratio
        return int(rays * 80 * math.ceil(float((box[1] - box[0]).max()) / size))

    def _samples(self, field: RadianceField, origins: Tensor, directions: Tensor, step: Step | None) -> Samples:
        box = field.box.to(origins)
        check_box(box, field.spacing * self.config.step_ratio)
        empty_below = self.config.tolerance / float((box[1] - box[0]).norm())
        cells = occupied_cells(field, self.config.cells, empty_below)
        shift = None
        if self.config.jitter and step is not None:
            shift = torch.rand(len(origins), 1, generator=step.generator("jitter")).to(origins)[:, 0]
        size = field.spacing * self.config.step_ratio
        return march(origins, directions, box, cells, size, shift, self._with_kernels(origins))

    def _weights(self, samples: Samples, density: Tensor, rays: int) -> Tensor:
        """(N,), alpha times transmittance, alpha = 1 - exp(-density size)."""
        from nerfacc import render_weight_from_density

        starts, ends = samples.ends
        if self._with_kernels(density):
            packed: Tensor = render_weight_from_density(
                starts.float(), ends.float(), density.float(), ray_indices=samples.ray, n_rays=rays
            )[0]
            return packed.to(density)
        # nerfacc sums along rays of unequal length on CUDA alone; elsewhere they are filled up with samples of no length
        place = samples.places
        longest = int(place.max()) + 1 if len(place) else 0
        put = samples.ray * longest + place
        filled = [part.new_zeros(rays * longest).scatter(0, put, part) for part in (starts, ends, density)]
        dense: Tensor = render_weight_from_density(*(part.reshape(rays, longest) for part in filled))[0]
        return dense.flatten()[put]

    def _with_kernels(self, tensor: Tensor) -> bool:
        return tensor.is_cuda and self.config.backend != "torch" and has_kernels()


def has_nerfacc() -> bool:
    """Whether nerfacc is installed; it is imported when something is drawn."""
    return importlib.util.find_spec("nerfacc") is not None


def has_kernels() -> bool:
    """Whether nerfacc's kernels can be had: it is a wheel with them, or it compiles them with nvcc at the first use."""
    built = has_nerfacc() and importlib.util.find_spec("nerfacc.csrc") is not None
    return torch.cuda.is_available() and (built or shutil.which("nvcc") is not None)


def _dense(samples: Samples, values: Tensor) -> Tensor:
    """A value for each sample -> (R, S): a column for each interval of the longest ray, 0 in empty ones."""
    number = samples.numbers
    longest = int(number.max()) + 1 if len(number) else 1
    put = samples.ray * longest + number
    return values.new_zeros(len(samples.start) * longest).scatter(0, put, values).reshape(-1, longest)
