"""Which pixels of an input view show the object, by its picture and by the model."""

from __future__ import annotations

import torch
from torch import Tensor

from zero3d.values import LossContext

SOLID = 0.5
"""Mask and opacity above which a pixel shows the object; at edges both would mix object and background."""


def object_pixels(context: LossContext) -> Tensor:
    """(H, W) bool, of the input view that the term acts on; not differentiated."""
    opacity = context.view.opacity[0, ..., 0].detach()
    posed = next((one.posed for one in context.inputs if one.view is context.view), context.subject.pictures[0])
    mask = posed.picture.resized(*opacity.shape).mask[..., 0].to(opacity)
    return torch.logical_and(mask > SOLID, opacity > SOLID)
