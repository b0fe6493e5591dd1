"""TrainableDenoiser: a denoiser that a trainer can fit to rendered objects."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from zero3d.interfaces.denoiser import Denoiser
from zero3d.values import Cameras


@dataclass(frozen=True)
class TrainingBatch:
    """B objects, each with one input picture and T target pictures.

    input_rgba (B, H, W, 4), target_rgba (B * T, H, W, 4): straight alpha, in [0, 1], float. input_cameras: B,
    target_cameras: B * T, object by object. occupancy: (B, R, R, R), the solid share of each cell in [0, 1], float,
    in world axes [x, y, z] over the cube [-extent, extent]^3, or None where the geometry is unknown.
    """

    input_rgba: Tensor
    input_cameras: Cameras
    target_rgba: Tensor
    target_cameras: Cameras
    occupancy: Tensor | None = None
    extent: float = 0.0


class TrainableDenoiser(Denoiser):
    """A denoiser whose network a trainer can fit. `stage` names a part of the training, in a recipe's order."""

    stages: ClassVar[tuple[str, ...]]
    """The training stages it knows, in their usual order."""

    @abstractmethod
    def trainable(self, stage: str) -> nn.Module:
        """The module whose parameters this stage fits, initialised or loaded."""

    @abstractmethod
    def training_loss(
        self, batch: TrainingBatch, stage: str, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """The scalar to minimise and figures to log; random numbers come from `generator` alone."""

    @abstractmethod
    def save(self, path: str) -> None:
        """Write weights in the form that `load` reads (safetensors)."""
