"""Renderer: g(theta, c), a picture of the representation from a camera."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from zero3d.interfaces.component import Component
from zero3d.interfaces.scene.representation import Representation
from zero3d.values import Cameras, Step, View


class Renderer(Component):
    """Draws a representation, differentiably in its parameters."""

    kind: ClassVar[str] = "renderer"
    accepts: ClassVar[type[Representation]]
    """The representations it can draw."""
    provides: ClassVar[frozenset[str]]
    """What it can fill: "image" and "opacity" always; "depth", "weights", "distances", "normals", and extras by name."""

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
            background: what lies behind, image space of the field: (C,) or (h, w, C) for all, or (B, h, w, C), one a view;
                pictures are resized bilinearly.
            needs: optional fields and extras of View that somebody will read; others may be left out.
            step: the optimisation step, whose generators jitter may use; None for exact pictures (export, previews).
        """

    @staticmethod
    def behind(background: Tensor, cameras: Cameras) -> Tensor:
        """`render`'s background at the size of the pictures: (C,), (H, W, C) or (B, H, W, C)."""
        if background.ndim == 1 or background.shape[-3:-1] == (cameras.height, cameras.width):
            return background
        planes, size = background.movedim(-1, -3), (cameras.height, cameras.width)
        many = planes.reshape(-1, *planes.shape[-3:])
        resized = functional.interpolate(many, size, mode="bilinear", align_corners=False)
        return resized.reshape(*planes.shape[:-2], *size).movedim(-3, -1)

    @abstractmethod
    def memory_bytes(self, representation: Representation, rays: int) -> int:
        """About how many bytes a differentiable render of `rays` rays holds, for the check before a run starts."""

    def memory_for(self, representation: Representation, rays: int, views: int) -> int:
        """`memory_bytes` of the rays of so many views; for what each view costs by itself. As here, it does not matter."""
        return self.memory_bytes(representation, rays)
