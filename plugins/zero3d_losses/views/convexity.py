"""What is seen bulges towards the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.interfaces import Regularizer
from zero3d.values import LossContext


@dataclass
class ConvexityConfig:
    """`size`: the normals are first brought to so many pixels a side, 3 to 512; 8 in Score Distillation via Inversion."""

    size: int = 8

    def __post_init__(self) -> None:
        if not 3 <= self.size <= 512:
            raise ValueError(f"size: {self.size}; 3 to 512 pixels")


class Convexity(Regularizer):
    """How much coarse normals turn towards each other: mean max(0, (right x left) . y) + mean max(0, (down x up) . x).

    x and y are the camera's right and up; neighbours across and along the picture, at `size` pixels. Score Distillation via
    Inversion's convexity (arXiv 2405.15891), against hollow faces; there convex surfaces are rewarded beyond 0, here they
    cost nothing, so that an object is not inflated. Default weight 0.1, where that recipe ends.
    """

    name: ClassVar[str] = "convexity"
    needs: ClassVar[frozenset[str]] = frozenset({"normals"})
    default_weight: ClassVar[float] = 0.1
    Config: ClassVar[type[Any]] = ConvexityConfig

    def penalty(self, context: LossContext) -> Tensor:
        assert context.view.normals is not None
        axes = context.cameras.camera_to_world[:, :3, :3].to(context.view.normals)
        own = torch.einsum("bhwi,bij->bjhw", context.view.normals, axes)  # in the camera's own axes
        side = self.config.size
        coarse = functional.interpolate(own, (side, side), mode="bilinear", align_corners=False)
        x, y, z = coarse.unbind(dim=1)
        # a turn in the plane of sight: (left x right) . y, and (up x down) . x, above 0 on a convex surface
        across = z[:, :, :-1] * x[:, :, 1:] - x[:, :, :-1] * z[:, :, 1:]
        along = y[:, :-1] * z[:, 1:] - z[:, :-1] * y[:, 1:]
        return (-across).clamp(min=0).mean() + (-along).clamp(min=0).mean()
