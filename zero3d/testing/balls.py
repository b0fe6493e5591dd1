"""Balls of uniform density, whose pictures have a closed form; three of them show how axes are meant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.geometry import rays
from zero3d.interfaces import RadianceField, Renderer, Representation
from zero3d.testing.sphere import SphereField
from zero3d.values import FAR, Cameras, Step, View

CENTRES = ((0.4, 0.0, 0.0), (-0.1, 0.35, -0.05), (0.0, -0.1, 0.65))
"""World: a red ball towards the input's camera (+x), a green one to its right (+y), a blue one above (+z)."""
RADII = (0.3, 0.15, 0.2)
COLOURS = ((0.9, 0.1, 0.1), (0.1, 0.8, 0.1), (0.1, 0.2, 0.9))
BOUNDS = ((-0.25, -0.3, -0.3), (0.7, 0.5, 0.85))
"""Of all three together, world axes. No turning or mirroring of the axes gives bounds within 0.15 of them."""


@dataclass
class ThreeBallsConfig:
    """`density`: of each ball, per world unit; 0 is an empty field."""

    density: float = 200.0

    def __post_init__(self) -> None:
        if self.density < 0:
            raise ValueError(f"density: {self.density}; not negative, per world unit")


class ThreeBalls(RadianceField):
    """A red ball on +x, a smaller green one on +y and a blue one on +z: what is mirrored or turned is seen at once."""

    name: ClassVar[str] = "three_balls"
    Config: ClassVar[type[Any]] = ThreeBallsConfig

    def __init__(self, config: ThreeBallsConfig) -> None:
        super().__init__(config)
        self.channels, self.spacing = 3, 0.02
        self.box: Tensor
        self.centres: Tensor
        self.radii: Tensor
        self.register_buffer("box", torch.tensor([[-0.95] * 3, [0.95] * 3]))
        self.register_buffer("centres", torch.tensor(CENTRES))
        self.register_buffer("radii", torch.tensor(RADII))
        self.strength = nn.Parameter(torch.tensor(float(config.density)))
        self.colours = nn.Parameter(torch.tensor(COLOURS))

    def initialise(self, step: Step) -> None:
        """Its parameters are given."""

    def density(self, points: Tensor) -> Tensor:
        inside: Tensor = (self._depths(points) >= 0).any(dim=-1)
        return self.strength * inside

    def features(self, points: Tensor) -> Tensor:
        nearest: Tensor = self.colours[self._depths(points).argmax(dim=-1)]
        return nearest

    def _depths(self, points: Tensor) -> Tensor:
        """(N, 3): how deep each point lies in each ball; below 0 outside."""
        deep: Tensor = self.radii - (points[:, None] - self.centres).norm(dim=-1)
        return deep


def draw_balls(field: SphereField | ThreeBalls, cameras: Cameras, background: Tensor, far: float = FAR) -> View:
    """The exact picture of a `SphereField` or of `ThreeBalls`, differentiable in strength and colour.

    A ball of density d on a chord c absorbs 1 - exp(-d c), at a mean distance behind its face of
    (1 - (1 + d c) exp(-d c)) / d in all; what is left passes on to the next ball and the background, (C,).
    """
    origins, directions = rays(cameras)
    if isinstance(field, SphereField):
        centres, colours = torch.zeros(1, 3), field.colour[None]
        radii = torch.tensor([field.config.radius])
    else:
        centres, radii, colours = field.centres, field.radii, field.colours
    start, length = chords(origins, directions, centres.to(origins), radii.to(origins))
    order = start.argsort(dim=-1)
    start, length = start.gather(-1, order), length.gather(-1, order)
    thickness = field.strength * length
    left = torch.exp(-(thickness.cumsum(dim=-1) - thickness))
    absorbed = left * (1 - torch.exp(-thickness))
    opacity = absorbed.sum(dim=-1, keepdim=True)
    behind = left * (1 - (1 + thickness) * torch.exp(-thickness)) / field.strength.clamp(min=1e-9)
    colour = (absorbed[..., None] * colours[order]).sum(dim=-2)
    return View(
        image=colour + (1 - opacity) * background.to(colour),
        opacity=opacity,
        depth=(absorbed * start + behind).sum(dim=-1, keepdim=True) + (1 - opacity) * far,
    )


def chords(origins: Tensor, directions: Tensor, centres: Tensor, radii: Tensor) -> tuple[Tensor, Tensor]:
    """Of rays (..., 3) through balls (K, 3), (K,): distance to each ball's face, and the chord; 0 for a miss: (..., K)."""
    apart = centres - origins[..., None, :]
    along = (apart * directions[..., None, :]).sum(dim=-1)
    half = (radii.square() - apart.square().sum(dim=-1) + along.square()).clamp(min=0).sqrt()
    return along - half, 2 * half


class BallRenderer(Renderer):
    """The exact picture of a `SphereField`, for tests that need some renderer."""

    name: ClassVar[str] = "exact_ball"
    accepts: ClassVar[type[Representation]] = SphereField
    provides: ClassVar[frozenset[str]] = frozenset({"image", "opacity", "depth"})

    def render(
        self,
        representation: Representation,
        cameras: Cameras,
        background: Tensor,
        needs: frozenset[str] = frozenset(),
        step: Step | None = None,
    ) -> View:
        assert isinstance(representation, SphereField)
        return draw_balls(representation, cameras, background)

    def memory_bytes(self, representation: Representation, rays: int) -> int:
        """About 20 floats a ray."""
        return 80 * rays
