"""Regularizer: a differentiable penalty on rendered views or on the representation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces.component import Component
from zero3d.interfaces.teachers.encoder import Encoder
from zero3d.values import LossContext


class Regularizer(Component):
    """One term of the objective. The recipe gives its weight (a Schedule) and the view it acts on."""

    kind: ClassVar[str] = "regularizer"
    needs: ClassVar[frozenset[str]]
    """What it reads of the context: fields of View ("depth", "weights", "normals"), extras that the renderer provides,
    "background" (the engine's extra: what is painted behind the view), "novel_view" (for `context.novel`, where another
    view is its own), "near_view", "input_view", "rgb".

    (Ask for "rgb" when the penalty calls `decode`.)"""
    asks: ClassVar[str | None] = None
    """"encoder" for one that compares by an Encoder: the recipe's `encoder` names which, `self.encoder` is it."""
    reads: ClassVar[frozenset[str]] = frozenset()
    """What it reads of the subject: "picture", "prompt". ("input_view" asks for a picture by itself.)"""
    accepts: ClassVar[type[Any]] = object
    """The representations it can act on, for penalties on the representation itself: RadianceField, say."""
    default_weight: ClassVar[float]
    """The weight when the recipe gives none; the docstring names its source."""
    default_every: ClassVar[int] = 1
    """In every so many steps it is asked, when the recipe does not say (`every`)."""
    default_view: ClassVar[str] = "novel"
    """Which view `context.view` is when the recipe does not say: "novel", "near", "input" or "input.LABEL"."""

    def __init__(self, config: Any, encoder: Encoder | None = None) -> None:
        super().__init__(config)
        self.encoder = encoder

    @abstractmethod
    def penalty(self, context: LossContext) -> Tensor:
        """A scalar >= 0, averaged over views and pixels, 0 where the term is content."""
