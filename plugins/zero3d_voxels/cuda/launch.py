"""The CUDA side of the fused march: what Triton's kernels get."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zero3d_voxels.cuda.occupancy import occupancy
from zero3d_voxels.march import March

RAYS = 64
"""Rays a program."""


class CudaMarch:
    """One march through one field, whose features are read, and their gradient made, as they lie: channels last."""

    def __init__(self, march: March, density: Tensor, features: Tensor, scale: Tensor) -> None:
        """density (1, 1, Z, Y, X), features (1, C, Z, Y, X), `scale` (scalar) of the raw density; float32."""
        from zero3d_voxels.cuda import march_triton

        self.kernels, self.march = march_triton, march
        self.density, self.scale = density.detach().contiguous(), scale.detach().reshape(1)
        self.features = features.detach()[0].permute(1, 2, 3, 0).contiguous()
        self.filled = occupancy(density, march.empty_below).contiguous()
        self.out: tuple[Tensor, ...] = ()

    def forward(self, again: bool) -> tuple[Tensor, ...]:
        """Colour (R, C), opacity (R,), distance (R,), weights (R, S) or (0, 0). `again`: `backward` will be called."""
        rays, wants = len(self.march.origins), self.march.wants_weights
        shapes = (rays, self.features.shape[-1]), (rays,), (rays,), (rays, self.march.samples) if wants else (0, 0)
        out = [self.density.new_zeros(shape) for shape in shapes]
        self.kernels.forward[self._programs()](*self._inputs(), *out, **self._constants())
        self.out = tuple(part.detach() for part in out) if again else ()
        return tuple(out)

    def backward(self, gradients: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """dL/d density, dL/d features and dL/d log_scale from the gradients of what `forward` returned."""
        gradients = tuple(part.contiguous() for part in gradients)
        colour, opacity, distance, weights = self.out
        sums = (gradients[0] * colour).sum(-1) + gradients[1] * opacity + gradients[2] * distance
        if self.march.wants_weights:
            sums = sums + (gradients[3] * weights).sum(-1)
        to_density, to_features = torch.zeros_like(self.density), torch.zeros_like(self.features)
        to_scale = self.density.new_zeros(len(self.march.origins))
        self.kernels.backward[self._programs()](
            *self._inputs(), *gradients, sums, to_density, to_features, to_scale, **self._constants()
        )
        return to_density, to_features.permute(3, 0, 1, 2)[None], to_scale.sum()

    def _programs(self) -> tuple[int]:
        return (-(-len(self.march.origins) // RAYS),)

    def _inputs(self) -> tuple[Any, ...]:
        march = self.march
        *_, depth, height, width = self.density.shape
        box = march.origins.new_tensor(march.box)
        return (
            *(self.density, self.features, march.origins, march.directions, march.spans, march.starts),
            *(self._counts(), box[:3].contiguous(), box[3:6].contiguous(), self.filled, self.scale),
            *(march.density_shift, march.thickness, march.step, march.weight_threshold, march.least_light),
            *(len(march.origins), march.samples, width, height, depth, *self.filled.shape[1:]),
        )

    def _counts(self) -> Tensor:
        """How many samples of each ray lie inside the box, rounded as `volume` rounds."""
        march, chord = self.march, self.march.spans[:, 1]
        offset = torch.arange(march.samples + 1, dtype=chord.dtype, device=chord.device) * march.step
        count = torch.searchsorted(offset, chord - march.starts).clamp(max=march.samples)
        count += ((offset[count] + march.starts < chord) & (count < march.samples)).to(count.dtype)
        before = (count - 1).clamp(min=0)
        count -= ((count > 0) & ~(offset[before] + march.starts < chord)).to(count.dtype)
        return count.to(torch.int32)

    def _constants(self) -> dict[str, Any]:
        channels = self.features.shape[-1]
        return {
            "C": channels,
            "CHANNELS": 1 << (channels - 1).bit_length(),
            "SIGMOID": self.march.sigmoid,
            "WEIGHTS": self.march.wants_weights,
            "RAYS": RAYS,
        }
