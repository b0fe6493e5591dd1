"""Renderer: g(theta, c), a picture of the representation from a camera."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from zero3d.interfaces.component import Component
from zero3d.interfaces.representation import Representation
from zero3d.values import Cameras, Step, View


class Renderer(Component):
    """Draws a representation, differentiably in its parameters."""

    kind: ClassVar[str] = "renderer"
    accepts: ClassVar[type[Representation]]
    """The representations it can draw."""
    provides: ClassVar[frozenset[str]]
    """Which of View's fields it can fill: "image" and "opacity" always; "depth", "weights", "normals"."""

    @abstractmethod
    def render(
        self,
        representation: Representation,
        cameras: Cameras,
        background: Tensor,
        needs: frozenset[str] = frozenset(),
        step: Step | None = None,
    ) -> View:
        """Draw B views.

        Args:
            background: what lies behind, (C,) or (h, w, C) resized bilinearly to the picture; image space of the field.
            needs: optional fields of View that somebody will read; others may be left None.
            step: the optimisation step, whose generators jitter may use; None for exact pictures (export, previews).
        """

    @staticmethod
    def behind(background: Tensor, cameras: Cameras) -> Tensor:
        """`render`'s background at the size of the pictures: (C,) or (H, W, C)."""
        if background.ndim == 1 or background.shape[:2] == (cameras.height, cameras.width):
            return background
        planes, size = background.permute(2, 0, 1)[None], (cameras.height, cameras.width)
        return functional.interpolate(planes, size, mode="bilinear", align_corners=False)[0].permute(1, 2, 0)

    @abstractmethod
    def memory_bytes(self, representation: Representation, rays: int) -> int:
        """About how many bytes a differentiable render of `rays` rays holds, for the check before a run starts."""
