"""What the volume renderers share: where rays meet the box, where samples lie."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zero3d.errors import UserError
from zero3d.values import Step

MOST_SAMPLES = 1 << 19
"""On a ray. Numbers of samples are exact in single precision up to 2^24."""


def box_interval(origins: Tensor, directions: Tensor, box: Tensor) -> tuple[Tensor, Tensor]:
    """Where each ray (R, 3) enters and leaves the box, distances (R,) >= 0; a ray that misses leaves before it enters."""
    safe = torch.where(directions.abs() < 1e-9, 1e-9, directions)
    a, b = (box[0] - origins) / safe, (box[1] - origins) / safe
    enters, leaves = torch.minimum(a, b).unbind(dim=-1), torch.maximum(a, b).unbind(dim=-1)
    near = torch.maximum(torch.maximum(enters[0], enters[1]), enters[2]).clamp(min=0)
    return near, torch.minimum(torch.minimum(leaves[0], leaves[1]), leaves[2]).clamp(min=0)


def count_samples(chord: float, size: float) -> int:
    """How many samples, `size` apart, a chord through the box takes at most.

    Raises:
        UserError: either is not finite, or they are more than MOST_SAMPLES.
    """
    if not 0 <= chord <= MOST_SAMPLES * size:  # not so for NaN either
        raise UserError(
            f"representation: a chord of {chord:g} world units through its box, samples {size:g} apart; its box and "
            f"spacing must be finite, and a ray takes {MOST_SAMPLES} samples at most"
        )
    return math.floor(chord / size) + 1


def jitter_shift(jitter: bool, step: Step | None, origins: Tensor) -> Tensor | None:
    """The random part of a step, (R, 1) in [0, 1), by which each ray's samples are shifted; None for none."""
    if not jitter or step is None:
        return None
    return torch.rand(len(origins), 1, generator=step.generator("jitter")).to(origins)
