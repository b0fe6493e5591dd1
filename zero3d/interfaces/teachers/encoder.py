"""Encoder: pictures and texts as unit vectors whose inner product says how alike they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from zero3d.interfaces.component import Component
from zero3d.values import Subject


class Encoder(Component):
    """A frozen network such as CLIP. A foreign model is adapted once, here; `load` reads the weights."""

    kind: ClassVar[str] = "encoder"
    reads: frozenset[str] = frozenset({"picture"})
    """What it can encode: "picture", "prompt"."""
    dimensions: int
    """D of its vectors. Known before the weights are loaded."""
    picture_resolution: int | None = None
    """Side in pixels at which it reads pictures; the subject's are framed at least so large. None: any will do."""

    @abstractmethod
    def encode_pictures(self, image: Tensor) -> Tensor:
        """RGB (B, H, W, 3), about [0, 1], of any size -> unit vectors (B, D). Differentiable in the picture."""

    @abstractmethod
    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """N texts -> unit vectors (N, D), without a graph. Asked only where `reads` holds "prompt"."""


@dataclass
class EncoderTeacher:
    """An encoder together with the subject that its vectors are compared to."""

    encoder: Encoder
    subject: Subject = field(default_factory=Subject)
