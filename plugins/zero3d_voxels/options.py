"""What a recipe may say of `voxels`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zero3d.schedule import Schedule

ACTIVATIONS = ("auto", "none", "sigmoid")
LARGEST_BOX, SMALLEST_BOX = 1000.0, 1e-3
"""World units; the object's longest side is 1."""
MOST_VOXELS = 2**14
"""Along a box's diagonal, each as long as the shortest side of one."""
LARGEST_NUMBER, SMALLEST_GAIN = 1e6, 1e-6
FASTEST = 1000.0
"""`density_rate` at most."""
UNITS = ("world", "voxel")


@dataclass
class VoxelConfig:
    """Options of `voxels`.

    resolution: voxels along each axis, or [x, y, z]; 2 to 1024. channels: 3 for RGB, or the denoiser's latent. box:
    half-side of the cube, or [[x, y, z], [x, y, z]] corners, world units. density_shift: added before softplus (-1 in
    SJC: a uniform fog of 0.31 at the start). activation: of features: none, sigmoid or auto (sigmoid for RGB, none for a
    latent). initial_std: of the raw features (1 in SJC). learn_scale: the global density scale e^s of SJC. start: noise;
    a solid to begin from is the recipe's own `start`, a reconstructor. density_gain: a fixed factor on raw density;
    above 1 it makes surfaces form faster at the same learning rate. density_unit: what softplus gives the density of:
    world, a unit of length (SJC), or voxel, a voxel's side (DVGO, arXiv 2111.11215), where density grows by factors
    until a voxel is opaque, and surfaces are as thin as voxels. density_rate: what multiplies the learning rate of
    density, a number or a schedule; below 1 the shape that a `start` gave stays, while colours move on. shared_moment:
    Adam divides all voxels' density gradients by one size, so that what all views want grows first; by default each by
    its own. carve: [from, until], shares of the run in which voxels are emptied whose views disagree about their colour,
    such as a lid over a hollow; null for never. carve_above: how many times as much as the typical voxel's, above 1.
    fill_hidden: after the last step, make solid what no light reaches, since views tell of surfaces alone. prune_at:
    was `carve`'s forerunner, and is refused.
    """

    resolution: Any = 64
    channels: int = 3
    box: Any = 1.0
    density_shift: float = -1.0
    activation: str = "auto"
    initial_std: float = 1.0
    learn_scale: bool = True
    start: str = "noise"
    density_gain: float = 1.0
    density_rate: Any = 1.0
    density_unit: str = "world"
    shared_moment: bool = False
    carve: Any = None
    carve_above: float = 3.0
    fill_hidden: bool = False
    prune_at: Any = None

    def __post_init__(self) -> None:
        self.density_rate = Schedule.parse(self.density_rate, "density_rate").within(0, FASTEST, "density_rate")
        sides = self.sides if isinstance(self.resolution, (int, list, tuple)) else ()
        if len(sides) != 3 or not all(isinstance(side, int) and 2 <= side <= 1024 for side in sides):
            raise ValueError(f"resolution: {self.resolution}; one or three whole numbers from 2 to 1024")
        if not 1 <= self.channels <= 64:
            raise ValueError(f"channels: {self.channels}; 3 for RGB, 4 for Stable Diffusion's latent")
        try:
            corners = self.corners
            good = corners.shape == (2, 3) and bool((corners[0] < corners[1]).all())
        except (TypeError, ValueError, RuntimeError, OverflowError):
            good = False
        if not good:
            raise ValueError(f"box: {self.box}; a half-side above 0 or [[x, y, z], [x, y, z]] from low to high")
        edges = corners[1] - corners[0]
        if not bool((corners.abs() <= LARGEST_BOX).all() and (edges >= SMALLEST_BOX).all()):
            raise ValueError(
                f"box: {self.box}; within {LARGEST_BOX:g} world units of the origin, and no thinner than {SMALLEST_BOX:g}"
            )
        across = float(edges.norm() / (edges / torch.tensor(sides, device="cpu")).min())
        if across > MOST_VOXELS:
            raise ValueError(
                f"box: {self.box} of {sides} voxels; some are so thin that a ray would pass {across:.0f} of them, "
                f"at most {MOST_VOXELS}"
            )
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation: {self.activation!r}; one of {', '.join(ACTIVATIONS)}")
        if self.density_unit not in UNITS:
            raise ValueError(f"density_unit: {self.density_unit!r}; one of {', '.join(UNITS)}")
        if self.carve is not None and not _span(self.carve):
            raise ValueError(f"carve: {self.carve}; [from, until], shares of the run from 0 to 1, or null for never")
        if not 1 < self.carve_above <= LARGEST_NUMBER:
            raise ValueError(f"carve_above: {self.carve_above}; above 1, at most {LARGEST_NUMBER:g}")
        if self.prune_at is not None:
            raise ValueError(f"prune_at: {self.prune_at}; remove it, and prune_below, and write carve: [0.15, 0.6]")
        if self.start == "solid":
            raise ValueError(
                "start: 'solid'; remove it here and write, beside representation, start: {type: nano_lift}"
            )
        if self.start != "noise":
            raise ValueError(f"start: {self.start!r}; noise, or leave it out and give the recipe a `start` of its own")
        for name, low in (("density_shift", -LARGEST_NUMBER), ("initial_std", 0), ("density_gain", SMALLEST_GAIN)):
            if not low <= getattr(self, name) <= LARGEST_NUMBER:
                raise ValueError(f"{name}: {getattr(self, name)}; {low:g} to {LARGEST_NUMBER:g}")

    @property
    def sides(self) -> tuple[int, ...]:
        """Voxels along x, y, z."""
        return (self.resolution,) * 3 if isinstance(self.resolution, int) else tuple(self.resolution)

    @property
    def corners(self) -> Tensor:
        """(2, 3), world units."""
        if isinstance(self.box, (int, float)):
            return torch.tensor([[-float(self.box)] * 3, [float(self.box)] * 3], device="cpu")
        return torch.tensor(self.box, dtype=torch.float32, device="cpu")


def _span(value: Any) -> bool:
    """Whether it is two shares of a run, in order."""
    numbers = isinstance(value, (list, tuple)) and all(isinstance(v, (int, float)) for v in value)
    return numbers and len(value) == 2 and 0 <= value[0] <= value[1] <= 1
