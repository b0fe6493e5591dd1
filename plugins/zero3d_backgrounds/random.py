"""A colour drawn anew for each view and step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces import Background
from zero3d.values import Cameras, Step

COLOURS = ("any", "black")


@dataclass
class RandomConfig:
    """Options of `random`.

    colours: what is drawn, "any" (RGB, each uniform in [0, 1]) or "black". chance: how often it is drawn, 0 to 1; else
    the background is white. shared: all views of a step get one draw, as teachers that see them together may want it.
    """

    colours: str = "any"
    chance: float = 1.0
    shared: bool = False

    def __post_init__(self) -> None:
        if self.colours not in COLOURS:
            raise ValueError(f"colours: {self.colours!r}; one of {', '.join(COLOURS)}")
        if not 0 <= self.chance <= 1:
            raise ValueError(f"chance: {self.chance}; a probability, 0 to 1")


class Random(Background):
    """A colour for each view and step, so that no fog can hide before it: RGB uniform, or black with probability `chance`.

    By default threestudio's random augmentation (solid-color-background, random_aug_prob 1); `{colours: black, chance: 0.5}`
    is DreamGaussian's black or white (invert_bg_prob), `{colours: any, chance: 0.66}` comes near LucidDreamer's.
    """

    name: ClassVar[str] = "random"
    Config: ClassVar[type[Any]] = RandomConfig

    def paint(self, cameras: Cameras, step: Step, white: Tensor) -> Tensor:
        views = 1 if self.config.shared else len(cameras)
        chance = torch.rand(views, 4, generator=step.generator("colour"))
        drawn = chance[:, 1:] if self.config.colours == "any" else torch.zeros(views, 3)
        colour = torch.where(chance[:, :1] < self.config.chance, drawn, torch.ones(()))
        return colour.to(white).expand(len(cameras), 3)[:, None, None]
