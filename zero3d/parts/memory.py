"""About how much memory a run holds, and what is free: checked before anything large is allocated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil
import torch
from safetensors import safe_open

if TYPE_CHECKING:
    from pathlib import Path

    from zero3d.interfaces import CameraSampler, Component, Renderer, Representation
    from zero3d.recipe import OptimizerOptions


@dataclass(frozen=True)
class Memory:
    """About how many bytes a run holds on its device; `weights`: of teachers and whatever else it loads, if known."""

    parameters: int
    gradients: int
    moments: int
    render: int
    weights: int = 0

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.moments + self.render + self.weights


def estimate_memory(
    representation: Representation,
    renderer: Renderer,
    cameras: CameraSampler,
    optimizer: OptimizerOptions,
    input_pixels: int | None = None,
    total_steps: int = 1,
    input_views: int = 1,
) -> Memory:
    """The representation (real, or on the meta device) at its largest, its gradient and moments, and one step's render.

    The render is taken to draw every novel view, a near one for each, and the inputs: `input_pixels` in all, by default
    one view of the novel ones' size, `input_views` of them. `total_steps`: of the run, for schedules of the views' number
    and size.
    """
    parameters = representation.parameter_bytes()
    square = cameras.resolution**2
    rays = 2 * cameras.pixels(total_steps) + (square if input_pixels is None else input_pixels)
    render = renderer.memory_for(representation, rays, 2 * cameras.views + input_views)
    return Memory(parameters, parameters, optimizer.moments * parameters, render)


def component_size(component: Component, device: torch.device) -> tuple[int, int] | None:
    """Parameters, and bytes once loaded (at most, four each), as it or its files' headers say; None if unknown."""
    told = component.size(device)
    if told is not None:
        return told
    files = component.weight_files()
    if not all(path.suffix == ".safetensors" and path.is_file() for path in files):
        return None
    count = sum(_numbers_in(path) for path in files)
    return count, 4 * count


def _numbers_in(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    with safe_open(path, framework="pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 (not a dict)


def free_bytes(device: torch.device) -> int:
    """What the device has free."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
