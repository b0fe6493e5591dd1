"""A colour that is fitted with the object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.interfaces import Background
from zero3d.values import Cameras, Step
from zero3d_backgrounds.colour import parse_colour

EDGE = 0.01
"""A colour begins at least so far from 0 and 1, where the sigmoid is too flat to be fitted."""


@dataclass
class LearnedConfig:
    """`colour`: where it begins: black, grey, white, or [red, green, blue], each 0 to 1, moved at least 0.01 inwards."""

    colour: Any = "white"

    def __post_init__(self) -> None:
        self.colour = parse_colour(self.colour, "colour")


class Learned(Background):
    """One colour, sigmoid(logits), that the run's optimizer fits at the recipe's rate: threestudio's `learned: true`."""

    name: ClassVar[str] = "learned"
    Config: ClassVar[type[Any]] = LearnedConfig

    def __init__(self, config: LearnedConfig) -> None:
        super().__init__(config)
        self.logits = nn.Parameter(torch.logit(torch.tensor(config.colour), eps=EDGE))

    def load(self, device: torch.device) -> None:
        self.logits = nn.Parameter(self.logits.detach().to(device))

    def paint(self, cameras: Cameras, step: Step, white: Tensor) -> Tensor:
        return torch.sigmoid(self.logits).to(white)

    def parameters(self) -> list[nn.Parameter]:
        return [self.logits]

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits.detach()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        logits = state.get("logits")
        if not isinstance(logits, Tensor) or logits.shape != self.logits.shape:
            raise ValueError("a learned background is three numbers, `logits`")
        self.logits.data.copy_(logits)
