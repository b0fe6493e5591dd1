"""Guidance: an algorithm that turns a teacher's opinion of a rendered view into a gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from zero3d.interfaces.component import Component
from zero3d.interfaces.denoiser import Teacher
from zero3d.values import Cameras, ImageGradient, Step, View


class Guidance(Component):
    """dL/dx for a rendered picture x, from a frozen teacher."""

    kind: ClassVar[str] = "guidance"
    needs: ClassVar[frozenset[str]] = frozenset({"image"})
    """What it reads: fields of View."""

    def __init__(self, config: Any, teacher: Teacher) -> None:
        super().__init__(config)
        self.teacher = teacher

    @abstractmethod
    def gradient(self, view: View, cameras: Cameras, step: Step) -> ImageGradient:
        """The direction in which L grows: (B, H, W, C) for `view.image`, summed over pixels, without a graph.

        `view` is detached and must not be changed; random numbers come from `step.generator(name)` alone.
        """
