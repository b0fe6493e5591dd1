"""Reconstructor: from the subject to a 3D model at once, without optimisation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch

from zero3d.interfaces.component import Component
from zero3d.interfaces.scene.representation import Representation
from zero3d.values import ElevationEstimate, Picture, Step, Subject


class Reconstructor(Component):
    """One shot: nano's lift, Point-E, MCC. `load` reads the weights; a recipe's `start` names one."""

    kind: ClassVar[str] = "reconstructor"
    needs: frozenset[str] = frozenset({"picture"})
    """What it reads of the subject: "picture", "prompt"."""
    picture_resolution: int
    """Side of the square pictures that it reads."""
    recipe: ClassVar[Mapping[str, Any]] = {}
    """Keys of a recipe that hold and export what it makes, for `zero3d reconstruct`: cameras, representation, renderer..."""
    elevation_waits: str = ""
    """What a plan says in place of an elevation, if `elevation_of` needs a device; else empty."""
    tell: Callable[[str], None] = staticmethod(lambda line: None)
    """Takes a line for the user, before what takes long; set on the instance by whoever runs it."""

    def check(self, subject: Subject) -> None:
        """Refuse what cannot be used, before a weight is read; pictures may be of another size than `picture_resolution`.

        Raises:
            UserError: in one line.
        """

    def details(self) -> Mapping[str, Any]:
        """What the manifest keeps of how the model was made, by name, as JSON holds it: licence, alignment, scale...; asked
        after `reconstruct`. (Seconds and weights' hashes are kept of every one.)"""
        return {}

    def elevation_of(self, picture: Picture, device: torch.device | None = None) -> ElevationEstimate | None:
        """How far down the camera of `picture` looks; None, as here, if it cannot tell.

        Asked before `load`. With a `device`, by what will draw in any case, it may load itself there and draw, and says so
        first (`tell`); without, by commands that only plan, it reads small weights alone, on the CPU. `picture` has
        `picture_resolution` and is framed as `fit`. The same picture gets the same answer, whatever the device.
        """
        return None

    @abstractmethod
    def reconstruct(self, subject: Subject, step: Step) -> Representation:
        """The model in world axes, on the device of `load`; random numbers come from `step.generator(name)` alone."""
