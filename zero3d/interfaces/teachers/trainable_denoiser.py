"""TrainableDenoiser: a denoiser that a trainer can fit to rendered objects."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.interfaces.teachers.denoiser import Denoiser
from zero3d.values import Cameras


@dataclass(frozen=True)
class TrainingBatch:
    """B objects, each with one input picture and T target pictures.

    input_rgba (B, H, W, 4), target_rgba (B * T, H, W, 4): straight alpha, in [0, 1], float. input_cameras: B,
    target_cameras: B * T, object by object. occupancy: (B, R, R, R), the solid share of each cell in [0, 1], float,
    in world axes [x, y, z] over the cube [-extent, extent]^3, or None where the geometry is unknown. seeds: (B * T,)
    int64, each target's own source of randomness, the same however the objects are shared out; None if it has none.
    """

    input_rgba: Tensor
    input_cameras: Cameras
    target_rgba: Tensor
    target_cameras: Cameras
    occupancy: Tensor | None = None
    extent: float = 0.0
    seeds: Tensor | None = None

    def __len__(self) -> int:
        return len(self.input_rgba)

    def part(self, rank: int, world: int) -> TrainingBatch:
        """The objects of process `rank` of `world`, in order; B must be a multiple of `world`."""

        def share(value: Any) -> Any:
            count = len(value) // world
            return value[rank * count : (rank + 1) * count]

        return self._each(share)

    def to(self, device: torch.device | str) -> TrainingBatch:
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Any], Any]) -> TrainingBatch:
        """The same batch with all tensors and cameras passed through `change`."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: change(v) for name, v in own.items() if isinstance(v, (Tensor, Cameras))})


class TrainableDenoiser(Denoiser):
    """A denoiser whose network a trainer can fit. `stage` names a part of the training, in a recipe's order."""

    stages: ClassVar[tuple[str, ...]]
    """The training stages it knows, in their usual order."""
    weights_name: ClassVar[str] = "weights.safetensors"
    """What a trainer calls the file or folder that `save` writes."""

    def learning_rate_factor(self, stage: str, parameter: str) -> float:
        """What multiplies the learning rate of a named parameter of the stage's module."""
        return 1.0

    def is_averaged(self, stage: str, name: str) -> bool:
        """Whether the moving average covers a named tensor of the stage's module; else its last value is kept."""
        return True

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
