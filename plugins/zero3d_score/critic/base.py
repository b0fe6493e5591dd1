"""What the critics share: how they are asked, and their camera."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from zero3d.values import Cameras

POSE = 16


class Critic(nn.Module):
    """phi: the x0 of a noised view, by a network whose parameters that require a gradient are trained."""

    @abstractmethod
    def predict(self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, pose: Tensor) -> Tensor:
        """x0 (B, h, w, C) of noised (B, h, w, C), sigma (B,), in the teacher's image space; with a graph if one is kept.

        Args:
            condition: the teacher's.
            pose: (B, 16), `poses` of the cameras, or zeros: a view from anywhere.
        """

    @abstractmethod
    def initialise(self, generator: torch.Generator) -> None:
        """Draw the first values of what is trained, always the same of the same generator."""

    def trained(self) -> dict[str, nn.Parameter]:
        """What is trained, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}


class CameraEmbedding(nn.Sequential):
    """The 16 numbers of a pose -> (B, width). Zero until it is trained: then phi starts where it starts without a camera."""

    def __init__(self, width: int) -> None:
        super().__init__(nn.Linear(POSE, width), nn.SiLU(), nn.Linear(width, width))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw the first layer; the last one is zero."""
        drawn(self, generator)
        zeroed(self[2])


def poses(cameras: Cameras) -> Tensor:
    """(B, 16): camera_to_world row by row, as it is (ProlificDreamer; threestudio's "extrinsics")."""
    return cameras.camera_to_world.flatten(1)


@torch.no_grad()
def drawn(module: nn.Module, generator: torch.Generator) -> None:
    """Weights normal with variance 1 / fan-in, biases 0, norms 1."""
    for name, parameter in module.named_parameters():
        if parameter.ndim > 1:
            numbers = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(numbers / parameter[0].numel() ** 0.5)
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)


@torch.no_grad()
def zeroed(module: nn.Module) -> None:
    """All its parameters 0."""
    for parameter in module.parameters():
        parameter.zero_()
