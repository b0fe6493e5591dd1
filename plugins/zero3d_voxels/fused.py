"""The fused volume renderer: `volume`'s picture of a voxel field, marched in one kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from zero3d.errors import UserError
from zero3d.geometry import rays
from zero3d.interfaces import Representation
from zero3d.values import Cameras, Step, View
from zero3d_voxels.field import VoxelField
from zero3d_voxels.march import March
from zero3d_voxels.sampling import box_interval, count_samples, jitter_shift
from zero3d_voxels.volume import VolumeConfig, VolumeRenderer

INDICES = 2**31 - 1
"""The kernels' indices of a ray's numbers have 32 bits."""


@dataclass
class FusedConfig(VolumeConfig):
    """Options of `fused`.

    step_ratio: step as a share of the field's spacing, 0.05 to 4 (0.5 in SJC). weight_threshold: samples with a smaller
    weight lend no colour, 0 to below 0.5 (1e-4 in SJC); they still absorb. far: depth of the background, world units
    (10 in SJC). jitter: shift each ray's samples by a random part of a step while optimising. tolerance: how much of a
    ray's light each of two shortcuts may lose, passing over empty space and ending a ray where hardly any light is
    left; 0 (neither) to 0.01. The default is float32's round-off.
    """

    tolerance: float = 2**-24

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.tolerance <= 0.01:
            raise ValueError(f"tolerance: {self.tolerance}; 0 to 0.01 of a ray's light")


class FusedRenderer(VolumeRenderer):
    """Volume rendering of a voxel field in one kernel (numba on a CPU, Triton on CUDA): `volume`, many times faster.

    Values and gradients are `volume`'s to round-off; nothing is kept of a sample, the backward pass draws again. On
    other devices and in half precision `volume` itself draws.

    Shortcuts, with tolerance e: space is passed over where density is below e / (the box's diagonal), so that all of it
    on one ray absorbs less than e; a ray ends when less than e of its light is left. Each changes a ray's opacity by e
    at most. Softplus is never 0, so a field is empty only where e^s gain raw + shift < log(e / diagonal), -17.9 in a
    box of side 2 with the default.
    """

    name: ClassVar[str] = "fused"
    accepts: ClassVar[type[Representation]] = VoxelField
    Config: ClassVar[type[Any]] = FusedConfig

    def render(
        self,
        representation: Representation,
        cameras: Cameras,
        background: Tensor,
        needs: frozenset[str] = frozenset(),
        step: Step | None = None,
    ) -> View:
        assert isinstance(representation, VoxelField)
        if not _has_kernel(representation.raw_density):
            return super().render(representation, cameras, background, needs, step)
        representation.check_sizes()
        views, most = len(cameras), INDICES // max(3, representation.channels)
        if views * cameras.height * cameras.width > most:
            raise UserError(
                f"renderer: {views} views of {cameras.width}x{cameras.height} pixels; at most {most} pixels at once, "
                "take fewer or smaller views"
            )
        march = self._march(representation, cameras, bool(needs & {"weights", "distances"}), step)
        parameters = (representation.raw_density, representation.raw_features, representation.log_scale)
        colour, opacity, distance, weights = _Fused.apply(  # type: ignore[no-untyped-call]
            march, representation.config.density_gain, *parameters
        )
        shape = (len(cameras), cameras.height, cameras.width, -1)
        left = (1 - opacity).reshape(shape)
        return View(
            image=colour.reshape(shape) + left * self.behind(background, cameras),
            opacity=opacity.reshape(shape),
            depth=distance.reshape(shape) + left * self.config.far,
            weights=weights.reshape(shape) if "weights" in needs else None,
            distances=march.distances().reshape(shape) if "distances" in needs else None,
        )

    def memory_bytes(self, representation: Representation, rays: int) -> int:
        """Some 80 numbers a ray; the grids' gradients are counted with the grids."""
        return rays * 320

    def _march(self, field: VoxelField, cameras: Cameras, wants_weights: bool, step: Step | None) -> March:
        origins, directions = (part.reshape(-1, 3) for part in rays(cameras))
        dtype = field.raw_density.dtype
        origins, directions = origins.to(dtype).contiguous(), directions.to(dtype).contiguous()
        near, far = box_interval(origins, directions, field.box.to(dtype))
        size = field.spacing * self.config.step_ratio
        chord = (far - near).clamp(min=0)
        shift = jitter_shift(self.config.jitter, step, origins)
        # from the options, not from the field's box: reading numbers back from a GPU takes time
        box, diagonal = _frame(tuple(map(tuple, field.config.corners.tolist())), field.config.sides, dtype)
        longest = float(chord.max()) if wants_weights else diagonal
        return March(
            origins=origins,
            directions=directions,
            spans=torch.stack([near, chord], dim=-1),
            starts=torch.zeros_like(near) if shift is None else (shift * size)[:, 0],
            box=box,
            step=size,
            thickness=size / field.unit,
            samples=count_samples(longest, size),
            density_shift=field.config.density_shift,
            sigmoid=field.sigmoid,
            weight_threshold=self.config.weight_threshold,
            least_light=self.config.tolerance,
            empty_below=self._empty_below(field, diagonal),
            picture=(len(cameras), cameras.height, cameras.width),
            wants_weights=wants_weights,
        )

    def _empty_below(self, field: VoxelField, diagonal: float) -> Tensor:
        """The raw density below which space is empty: softplus(e^s gain raw + shift) / unit = tolerance / diagonal."""
        if self.config.tolerance == 0:
            return torch.full_like(field.log_scale, -math.inf)
        argument = math.log(math.expm1(self.config.tolerance / diagonal * field.unit))
        return (argument - field.config.density_shift) / (field.log_scale.detach().exp() * field.config.density_gain)


@lru_cache(16)
def _frame(
    corners: tuple[tuple[float, ...], ...], sides: tuple[int, ...], dtype: torch.dtype
) -> tuple[tuple[float, ...], float]:
    """`March.box` and the box's diagonal, rounded as `volume` rounds them."""
    low, high = torch.tensor(corners, dtype=dtype, device="cpu")
    voxels = torch.tensor(sides, dtype=dtype, device="cpu")
    return tuple(torch.cat([low, voxels / (high - low), voxels]).tolist()), float((high - low).norm())


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, march: March, gain: float, density: Tensor, features: Tensor, log_scale: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.marcher = _marcher(density.device)(march, density, features, log_scale.exp() * gain)
        ctx.log_scale = log_scale
        return ctx.marcher.forward(any(ctx.needs_input_grad))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        to_density, to_features, to_scale = ctx.marcher.backward(gradients)
        return None, None, to_density, to_features, torch.as_tensor(to_scale).to(ctx.log_scale)


def _marcher(device: torch.device) -> Any:
    """The device's march; compilers are imported here, when something is drawn."""
    if device.type == "cuda":
        from zero3d_voxels.cuda.launch import CudaMarch

        return CudaMarch
    from zero3d_voxels.cpu.launch import CpuMarch

    return CpuMarch


def _has_kernel(grid: Tensor) -> bool:
    return (grid.device.type, grid.dtype) in (
        ("cpu", torch.float32),
        ("cpu", torch.float64),
        ("cuda", torch.float32),
    )
