"""The values that flow between parts. Frozen; shapes: B views, H W pixels, C channels, S samples along a ray."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from zero3d.interfaces.representation import Representation
    from zero3d.random import Generators

PUBLISHED_FOV = 2 * math.atan(16 / 35)
"""Field of view of the published Zero-1-to-3 data: a 35 mm lens on a 32 mm sensor, 49.1343 degrees, in radians."""

FAR = 10.0
"""Depth of the background, in world units (SJC)."""


@dataclass(frozen=True)
class Cameras:
    """B pinhole cameras that share one size and field of view.

    `camera_to_world` (B, 4, 4): OpenGL axes (x right, y up, looking along -z) in a right-handed world with z up.
    `fov`: the angle across the image's width, radians; pixels are square, centres at +0.5.
    """

    camera_to_world: Tensor
    height: int
    width: int
    fov: float = PUBLISHED_FOV

    def __len__(self) -> int:
        return self.camera_to_world.shape[0]

    @property
    def position(self) -> Tensor:
        """(B, 3), world units."""
        return self.camera_to_world[:, :3, 3]

    @property
    def distance(self) -> Tensor:
        """(B,) from the origin, world units."""
        norm: Tensor = torch.linalg.vector_norm(self.position, dim=-1)
        return norm

    @property
    def azimuth(self) -> Tensor:
        """(B,) radians, counter-clockwise seen from above, 0 on the +x axis."""
        return torch.atan2(self.position[:, 1], self.position[:, 0])

    @property
    def elevation(self) -> Tensor:
        """(B,) radians up from the horizon."""
        return torch.atan2(self.position[:, 2], self.position[:, :2].norm(dim=-1))

    def resized(self, height: int, width: int) -> Cameras:
        """The same cameras with another number of pixels."""
        return replace(self, height=height, width=width)

    def to(self, device: torch.device | str) -> Cameras:
        return replace(self, camera_to_world=self.camera_to_world.to(device))

    def __getitem__(self, index: slice) -> Cameras:
        return replace(self, camera_to_world=self.camera_to_world[index])


@dataclass(frozen=True)
class View:
    """B rendered pictures. What a renderer does not provide is None.

    image (B, H, W, C): composited over the background; RGB in [0, 1], or a latent.
    opacity (B, H, W, 1) in [0, 1]. depth (B, H, W, 1): expected distance along the unit ray + (1 - opacity) * far.
    weights (B, H, W, S): each sample's share of its ray, alpha times transmittance. normals (B, H, W, 3), world axes.
    """

    image: Tensor
    opacity: Tensor
    depth: Tensor | None = None
    weights: Tensor | None = None
    normals: Tensor | None = None

    def detach(self) -> View:
        return self._map(lambda tensor: tensor.detach())

    def __getitem__(self, index: slice) -> View:
        return self._map(lambda tensor: tensor[index])

    def _map(self, change: Callable[[Tensor], Tensor]) -> View:
        values: dict[str, Tensor | None] = {f.name: getattr(self, f.name) for f in fields(self)}
        changed: dict[str, Any] = {n: None if value is None else change(value) for n, value in values.items()}
        return View(**changed)


@dataclass(frozen=True)
class Picture:
    """The prepared input: `rgb` (H, W, 3) in [0, 1] over white, `mask` (H, W, 1) in [0, 1], both square and framed."""

    rgb: Tensor
    mask: Tensor

    def resized(self, height: int, width: int) -> Picture:
        """Averaged down (or bilinearly up) to another size."""
        if self.rgb.shape[:2] == (height, width):
            return self
        both = torch.cat([self.rgb, self.mask], -1).permute(2, 0, 1)[None]
        if height <= self.rgb.shape[0]:
            out = functional.interpolate(both, (height, width), mode="area")
        else:
            out = functional.interpolate(both, (height, width), mode="bilinear", align_corners=False)
        out = out[0].permute(1, 2, 0)
        return Picture(out[..., :3], out[..., 3:])

    def to(self, device: torch.device | str) -> Picture:
        return Picture(self.rgb.to(device), self.mask.to(device))


@dataclass(frozen=True)
class Step:
    """Where the optimisation stands: step `index` of `total`, with the run's random streams under `scope`."""

    index: int
    total: int
    generators: Generators
    scope: str = ""

    @property
    def progress(self) -> float:
        """In [0, 1): the share of the run that lies behind."""
        return self.index / max(self.total, 1)

    def generator(self, name: str) -> torch.Generator:
        """The random stream `name` of this part alone (a CPU generator; move what it draws)."""
        return self.generators[f"{self.scope}.{name}" if self.scope else name]

    def scoped(self, scope: str) -> Step:
        """The same step, with random streams of its own for the part called `scope`."""
        return replace(self, scope=f"{self.scope}.{scope}" if self.scope else scope)


@dataclass(frozen=True)
class ImageGradient:
    """What a guidance says: dL/d image, (B, H, W, C), summed over pixels, without a graph; and figures to log.

    `pictures`: what it looked at, for whoever wants to see it: "view", "noised" and "denoised" (those it has), each
    (B, h, w, c) in its teacher's image space, without a graph.
    """

    value: Tensor
    metrics: dict[str, float]
    pictures: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class LossContext:
    """What a regularizer may look at. `view` and `cameras` are those the recipe chose for the term.

    `novel`, `near`, `input`: the step's renders; the last two are None unless some term needs them.
    `picture`: the prepared input. `decode`: image space of the field -> RGB (B, H', W', 3), differentiable.
    """

    step: Step
    view: View
    cameras: Cameras
    novel: View
    near: View | None
    input: View | None
    picture: Picture
    representation: Representation
    decode: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TermGradient:
    """What one term of the objective says in one step, its weight included.

    `label`: the recipe's key, "guidance.sds" or "regularizers.opaque". `acts_on`: the name of the view it was given.
    `views`: name of a drawn view -> its field -> dL/d field, averaged over B. `direct`: (parameter, gradient), what
    reaches the representation past any view. `value`: a regularizer's penalty without its weight; None for guidance,
    whose value means nothing. `pictures`: those of ImageGradient; `decode` makes RGB of them.
    """

    label: str
    acts_on: str
    weight: float
    views: Mapping[str, Mapping[str, Tensor]]
    direct: tuple[tuple[Tensor, Tensor], ...] = ()
    value: Tensor | None = None
    pictures: Mapping[str, Tensor] = field(default_factory=dict)
    decode: Callable[[Tensor], Tensor] | None = None


@dataclass(frozen=True)
class StepTerms:
    """One step when every term has spoken and nothing has moved yet.

    `cameras`, `views`: who was drawn, by name ("novel", "near", "input", and a guidance's own "guidance.LABEL"),
    without a graph. `on_parameters(term)`: that term's gradient on each optimised parameter of the representation, by
    its name in `named_parameters()`: a backward pass through the renderer of its own, as dear as the step's.
    """

    step: Step
    cameras: Mapping[str, Cameras]
    views: Mapping[str, View]
    terms: tuple[TermGradient, ...]
    on_parameters: Callable[[TermGradient], Mapping[str, Tensor]]
