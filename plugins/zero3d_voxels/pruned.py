"""Voxels of which the thin ones are emptied for good in the middle of a run.

As Plenoxels do (Fridovich-Keil et al. 2022, arXiv 2112.05131, "Coarse to Fine"). While density grows slowly, every ray still
passes through the fog, and colours agree from all sides about where the surface is; the fog that is left over there, in
hollows above all, would be a lid as soon as density grows fast.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces.scene.representation import RowOptimizer
from zero3d.values import Step
from zero3d_voxels.field import VoxelConfig, VoxelField

EMPTY = -14.0
"""What softplus takes of an emptied voxel: a density below a millionth."""


class PrunedVoxelField(VoxelField):
    """`voxels` with `prune_at`."""

    def __init__(self, config: VoxelConfig) -> None:
        super().__init__(config)
        self.emptied: Tensor
        self.register_buffer("emptied", torch.zeros_like(self.raw_density, dtype=torch.bool))

    def initialise(self, step: Step) -> None:
        super().initialise(step)
        self.emptied.zero_()

    def after_step(self, step: Step, optimizer: RowOptimizer) -> None:
        """Prune after the first steps; later keep empty what was emptied."""
        last = int(self.config.prune_at * step.total)
        if step.index == last:
            self.prune()
            for name in ("raw_density", "raw_features"):
                optimizer.reset(name)
        elif step.index > last:
            self._empty()

    @torch.no_grad()
    def prune(self) -> None:
        """Empty what lets more light through than `prune_below` of the typical voxel, and let colours begin anew.

        Typical is the mean alpha, weighted by alpha itself. Colours were learnt through the fog, and are wrong without it.
        """
        density = functional.softplus(self.scale * self.raw_density + self.config.density_shift)
        alpha = -torch.expm1(-self.spacing * density)
        typical = alpha.square().sum() / alpha.sum().clamp(min=1e-12)
        self.emptied.copy_(alpha < self.config.prune_below * typical)
        self._empty()
        self.raw_features.zero_()

    @torch.no_grad()
    def _empty(self) -> None:
        self.raw_density.masked_fill_(self.emptied, (EMPTY - self.config.density_shift) / self.scale)
