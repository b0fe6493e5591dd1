"""About how much memory a run holds, and what is free: checked before anything large is allocated."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch

from zero3d.interfaces import CameraSampler, Renderer, Representation
from zero3d.recipe import OptimizerOptions


@dataclass(frozen=True)
class Memory:
    """About how many bytes a run holds on its device, its teachers not counted."""

    parameters: int
    gradients: int
    moments: int
    render: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.moments + self.render


def estimate_memory(
    representation: Representation,
    renderer: Renderer,
    cameras: CameraSampler,
    optimizer: OptimizerOptions,
    input_pixels: int | None = None,
) -> Memory:
    """The representation (real, or on the meta device) at its largest, its gradient and moments, and one step's render.

    The render is taken to draw every novel view, a near one for each, and the inputs: `input_pixels` in all, by default
    one view of the novel ones' size.
    """
    parameters = representation.parameter_bytes()
    square = cameras.resolution**2
    rays = cameras.views * 2 * square + (square if input_pixels is None else input_pixels)
    return Memory(parameters, parameters, optimizer.moments * parameters, renderer.memory_bytes(representation, rays))


def free_bytes(device: torch.device) -> int:
    """What the device has free."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
