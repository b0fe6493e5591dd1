"""Guidance: an algorithm that turns a teacher's opinion of a rendered view into a gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from zero3d.interfaces.component import Component
from zero3d.interfaces.scene.camera_sampler import CameraSampler
from zero3d.interfaces.teachers.denoiser import Teacher
from zero3d.interfaces.teachers.encoder import EncoderTeacher
from zero3d.values import Cameras, Step, View, ViewGradient


class Guidance(Component):
    """dL/dx for a rendered view x, from a frozen teacher, from a network of its own, or from nothing but the view.

    Parameters that it trains, and their moments, are its state (`state_dict`); `load` moves them to the device.
    """

    kind: ClassVar[str] = "guidance"
    needs: frozenset[str] = frozenset({"image"})
    """What it reads: fields of View, extras that the renderer provides, or the engine's extra "background" (B, H, W, C)."""
    reads: frozenset[str] = frozenset()
    """What it reads of the subject itself: "picture", "prompt". (What its denoiser is conditioned on is the denoiser's.)"""
    asks: ClassVar[str | None] = "denoiser"
    """Its teacher: "denoiser" (a Teacher), "encoder" (an EncoderTeacher), or None. The recipe names which one."""
    branches: tuple[str, ...] = ("cond",)
    """The predictions of a denoiser that it cannot do without."""
    adapts: bool = False
    """It trains adapters over a copy of its denoiser's network, which must be an AdaptableDenoiser."""
    takes_fixed_views: ClassVar[bool] = False
    """It asks its teacher for groups of cameras of its own choice (those of `Denoiser.views`, where they are fixed),
    whatever the sampler draws."""
    teacher: Any
    """The Teacher or EncoderTeacher that it asks; None if it asks none."""

    def __init__(self, config: Any, teacher: Teacher | EncoderTeacher | None = None) -> None:
        super().__init__(config)
        self.teacher = teacher

    def cameras(self, step: Step, sampler: CameraSampler) -> Cameras | None:
        """The views it wants in this step; None, as here, takes the step's novel views.

        One that fits target pictures for some steps holds their cameras: drawn from `sampler.sample(step)` when the
        pictures are made anew, and part of its state. `sampler`: its own, if the recipe gives it one, or the run's.
        """
        return None

    @abstractmethod
    def gradient(self, view: View, cameras: Cameras, step: Step) -> ViewGradient:
        """The direction in which L grows, for every field of the view that it acts on, summed over pixels.

        `view` is detached and must not be changed; random numbers come from `step.generator(name)` alone.
        """

    def after_step(self, step: Step) -> None:
        """Called after each optimisation step in which it was asked: to train a network of its own, or to count."""
