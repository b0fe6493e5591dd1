"""CameraSampler: c ~ p(c), from where the next step looks at the object."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from zero3d.interfaces.component import Component
from zero3d.values import Cameras, Step


class CameraSampler(Component):
    """Draws the cameras of a step. Its Config has `resolution`: the side of every picture the field is drawn at."""

    kind: ClassVar[str] = "camera_sampler"
    resolution: int
    """Side of the square views, in pixels of the field's image space."""
    views: int
    """B: how many novel views a step draws."""

    @abstractmethod
    def sample(self, step: Step) -> Cameras:
        """The B novel cameras of this step."""

    @abstractmethod
    def near(self, cameras: Cameras, step: Step) -> Cameras:
        """One camera close to each of `cameras`, for terms that need "near_view"."""
