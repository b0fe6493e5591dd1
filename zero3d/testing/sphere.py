"""A field with a closed form: a ball of uniform density and colour."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.interfaces import RadianceField
from zero3d.values import Step


@dataclass
class SphereConfig:
    """`radius` and the half-side `box` in world units, `density` per world unit, `colour` RGB; `spacing` told."""

    radius: float = 0.5
    density: float = 40.0
    colour: list[float] = field(default_factory=lambda: [0.8, 0.3, 0.2])
    box: float = 0.75
    spacing: float = 0.02


class SphereField(RadianceField):
    """A ball of uniform density: a ray with chord c through it has opacity 1 - exp(-density c)."""

    name: ClassVar[str] = "sphere"
    Config: ClassVar[type[Any]] = SphereConfig

    def __init__(self, config: SphereConfig) -> None:
        super().__init__(config)
        self.channels = 3
        self.spacing = config.spacing
        self.box: Tensor
        self.register_buffer("box", torch.tensor([[-config.box] * 3, [config.box] * 3]))
        self.strength = nn.Parameter(torch.tensor(float(config.density)))
        self.colour = nn.Parameter(torch.tensor(config.colour))

    def initialise(self, step: Step) -> None:
        """Its parameters are given by the options."""

    def density(self, points: Tensor) -> Tensor:
        inside: Tensor = torch.linalg.vector_norm(points, dim=-1) <= self.config.radius
        return self.strength * inside

    def features(self, points: Tensor) -> Tensor:
        return self.colour.expand(len(points), 3)
