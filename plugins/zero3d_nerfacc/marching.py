"""Samples on rays, none in empty space: nerfacc's kernel on CUDA, the same in PyTorch elsewhere.

Both put samples at the middles of equal intervals and keep those whose cell of the map is not empty; tests hold the
second against a scalar copy of the first (nerfacc 0.5.3, cuda/csrc/grid.cu).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zero3d import UserError
from zero3d.interfaces import RadianceField

MOST_STEPS = 1 << 19
CHUNK = 2**18
"""Places whose density is asked at once."""


@dataclass(frozen=True)
class Samples:
    """N samples on R rays, ray by ray, near ones first: `ray` (N,) their rays, `middle` (N,) distances along them; each
    covers an interval of `size`. Intervals of a ray are numbered from its `start` (R,)."""

    ray: Tensor
    middle: Tensor
    start: Tensor
    size: float

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        return self.middle - self.size / 2, self.middle + self.size / 2

    @property
    def numbers(self) -> Tensor:
        """(N,) of their intervals, from 0, those in empty space counted."""
        return ((self.middle - self.start[self.ray]) / self.size - 0.5).round().long()

    @property
    def places(self) -> Tensor:
        """(N,) how many samples lie before each on its ray."""
        counts = torch.bincount(self.ray, minlength=len(self.start))
        first = counts.cumsum(0) - counts
        return torch.arange(len(self.ray), device=self.ray.device) - first[self.ray]


def occupied_cells(field: RadianceField, cells: int, empty_below: float) -> Tensor:
    """(X, Y, Z) bool map of the field's box, `cells` along its longest side at most, one for each detail at most.

    A cell counts as empty if the density in its middle, and in those of the 26 around it, is `empty_below` at most. The
    map is made anew for each render and kept nowhere, so that a run's state is the representation's alone.
    """
    low, high = field.box
    side = high - low
    longest = min(cells, math.ceil(float(side.max()) / field.spacing))
    counts = (side / side.max() * longest).ceil().long().clamp(min=1).tolist()
    if empty_below <= 0:
        return torch.ones(counts, dtype=torch.bool, device=low.device)
    axes = [(torch.arange(n, device=low.device) + 0.5) / n for n in counts]
    middles = low + torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3).to(low) * side
    with torch.no_grad():
        density = torch.cat([field.density(part) for part in middles.split(CHUNK)]).reshape(1, 1, *counts)
        around = functional.max_pool3d(density, 3, stride=1, padding=1)
    return around[0, 0] > empty_below


def check_box(box: Tensor, size: float) -> None:
    """Whether rays can march through the box (2, 3) in steps of `size`.

    Raises:
        UserError: it is not finite, or has no inside, or the steps are too many.
    """
    low, high = box.tolist()
    edges = [b - a for a, b in zip(low, high, strict=True)]
    if not (min(edges) > 0 and 0 < math.hypot(*edges) <= MOST_STEPS * size):  # not so for NaN either
        raise UserError(
            f"representation: a box from {low} to {high}, steps of {size:g}; it must be finite and have an inside, "
            f"and a ray takes {MOST_STEPS} steps at most"
        )


def box_interval(origins: Tensor, directions: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Where each ray (R, 3) enters and leaves the box, distances (R,) >= 0; equal where it misses."""
    from nerfacc.grid import _ray_aabb_intersect  # the kernel's twin in PyTorch

    near, far, hits = _ray_aabb_intersect(origins, directions, box.reshape(1, 6), 0.0)
    nothing = torch.zeros_like(near)
    return torch.where(hits, near, nothing)[:, 0], torch.where(hits, far, nothing)[:, 0]


def march(
    origins: Tensor, directions: Tensor, box: Tensor, cells: Tensor, size: float, shift: Tensor | None, kernel: bool
) -> Samples:
    """Samples `size` apart within the box (2, 3), in cells that are True.

    Sample k of a ray lies k + shift sizes behind where it enters the box; `shift` (R,) in [0, 1), the middle for None.
    """
    near, far = box_interval(origins, directions, box)
    share = torch.full_like(near, 0.5) if shift is None else shift
    start = near + (share - 0.5) * size
    if kernel:
        ray, middle = _with_nerfacc(origins, directions, box, cells, size, start, far)
    else:
        ray, middle = _in_pytorch(origins, directions, box, cells, size, near + share * size, far)
    return Samples(ray, middle.to(origins), start, size)


def _with_nerfacc(
    origins: Tensor, directions: Tensor, box: Tensor, cells: Tensor, size: float, start: Tensor, far: Tensor
) -> tuple[Tensor, Tensor]:
    from nerfacc import traverse_grids

    _, samples, _ = traverse_grids(
        origins.float(),
        directions.float(),
        cells[None],
        box.float().reshape(1, 6),
        near_planes=start.float(),
        far_planes=far.float(),
        step_size=size,
    )
    return samples.ray_indices, samples.vals


def _in_pytorch(
    origins: Tensor, directions: Tensor, box: Tensor, cells: Tensor, size: float, first: Tensor, far: Tensor
) -> tuple[Tensor, Tensor]:
    count = math.ceil(max(0.0, float((far - first).max())) / size) + 1
    middle = first[:, None] + torch.arange(count, device=first.device, dtype=first.dtype) * size
    inside = middle < far[:, None]
    index = torch.zeros_like(middle, dtype=torch.long)
    for axis, number in enumerate(cells.shape):  # one axis at a time: (R, S, 3) would be the largest tensor of a render
        scale = number / (box[1, axis] - box[0, axis])
        offset = (origins[:, axis] - box[0, axis]) * scale
        place = torch.addcmul(offset[:, None], directions[:, axis, None] * scale, middle)
        index = index * number + place.long().clamp(0, number - 1)
    kept = (inside & cells.flatten()[index]).nonzero()
    return kept[:, 0], middle[kept[:, 0], kept[:, 1]]
