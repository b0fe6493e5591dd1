"""Squares of two random colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import Background
from zero3d.values import Cameras, Step


@dataclass
class CheckerboardConfig:
    """`squares`: along a side, 2 to 256; 8 in Dream Fields. At most as many are seen as the view has pixels."""

    squares: int = 8

    def __post_init__(self) -> None:
        if not 2 <= self.squares <= 256:
            raise ValueError(f"squares: {self.squares}; 2 to 256 along a side")


class Checkerboard(Background):
    """A chessboard of two colours for each view and step, RGB uniform in [0, 1].

    One of the three backgrounds of Dream Fields (arXiv 2112.01455, section 4), which keep an encoder from taking a
    half-transparent object for a whole one; there it is also blurred.
    """

    name: ClassVar[str] = "checkerboard"
    Config: ClassVar[type[Any]] = CheckerboardConfig

    def paint(self, cameras: Cameras, step: Step, white: Tensor) -> Tensor:
        colours = torch.rand(len(cameras), 2, 3, generator=step.generator("colours"))
        rows, columns = (torch.arange(n) * self.config.squares // n for n in (cameras.height, cameras.width))
        odd = (rows[:, None] + columns[None, :]) % 2
        return colours[:, odd].to(white)
