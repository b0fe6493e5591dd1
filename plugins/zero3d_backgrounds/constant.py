"""One colour throughout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces import Background
from zero3d.values import Cameras, Step
from zero3d_backgrounds.colour import parse_colour


@dataclass
class ConstantConfig:
    """`colour`: black, grey, white, or [red, green, blue], each 0 to 1."""

    colour: Any = "black"

    def __post_init__(self) -> None:
        self.colour = parse_colour(self.colour, "colour")


class Constant(Background):
    """The same colour behind every view of every step."""

    name: ClassVar[str] = "constant"
    Config: ClassVar[type[Any]] = ConstantConfig

    def paint(self, cameras: Cameras, step: Step, white: Tensor) -> Tensor:
        return white.new_tensor(self.config.colour)
