"""Signed distances and colours on a dense grid, interpolated trilinearly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor, nn
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.interfaces import RadianceField, Representation
from zero3d.values import Step
from zero3d_sdf.density import KINDS, density_of

CHUNK = 2**20
"""Points at which another field is read at once."""


@dataclass
class SDFConfig:
    """Options of `sdf`.

    resolution: grid points along each axis, 4 to 512. box: half-side of the cube, world units, 0.05 to 100. density: volsdf
    or neus. width: of the surface at the start, world units, 0.001 to 1: rays see so far around it. learn_width: whether it
    is fitted. radius: of the ball it begins as, world units. threshold: the density above which a field that it starts from
    is solid; 0: that at which one of its cells stops half of the light.
    """

    resolution: int = 64
    box: float = 1.0
    density: str = "volsdf"
    width: float = 0.05
    learn_width: bool = True
    radius: float = 0.4
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if not 4 <= self.resolution <= 512:
            raise ValueError(f"resolution: {self.resolution}; 4 to 512 along each axis")
        if not 0.05 <= self.box <= 100:
            raise ValueError(f"box: {self.box}; a half-side of 0.05 to 100 world units")
        if self.density not in KINDS:
            raise ValueError(f"density: {self.density!r}; one of {', '.join(KINDS)}")
        if not 1e-3 <= self.width <= 1:
            raise ValueError(f"width: {self.width}; 0.001 to 1 world units")
        if not 0 < self.radius < self.box:
            raise ValueError(f"radius: {self.radius}; above 0, below the box's {self.box}")
        if not 0 <= self.threshold <= 1e6:
            raise ValueError(f"threshold: {self.threshold}; a density, 0 to 1e6")


class SDFField(RadianceField):
    """A surface where the signed distance is 0, its density VolSDF's or NeuS's; add `eikonal` to keep it a distance.

    It begins as a ball, or from any other field of RGB: where that is solid, by the distance to its border. Distances are
    kept in cells, so that a learning rate means the same at every resolution. The surface has density 1 / (2 width), where
    exporters cut it.
    """

    name: ClassVar[str] = "sdf"
    Config: ClassVar[type[Any]] = SDFConfig

    def __init__(self, config: SDFConfig) -> None:
        super().__init__(config)
        side, self.channels = config.resolution, 3
        self.spacing = 2 * config.box / side
        self.box: Tensor
        self.register_buffer("box", torch.tensor([[-config.box] * 3, [config.box] * 3]))
        self.raw_distance = nn.Parameter(torch.zeros(1, 1, side, side, side))
        self.raw_features = nn.Parameter(torch.zeros(1, 3, side, side, side))
        self.log_width = nn.Parameter(torch.zeros(()), requires_grad=config.learn_width)

    @property
    def surface_density(self) -> float:
        return 0.5 / math.exp(float(self.log_width.detach()))

    def initialise(self, step: Step) -> None:
        away = self._middles().norm(dim=-1) - self.config.radius
        self.raw_distance.copy_((away / self.spacing).reshape(self.raw_distance.shape))
        self.raw_features.zero_()
        self.log_width.fill_(math.log(self.config.width))

    def can_follow(self, previous: Representation | None) -> bool:
        """Any field of RGB, whatever its box and resolution."""
        return (isinstance(previous, RadianceField) and previous.channels == 3) or super().can_follow(previous)

    def follow(self, previous: Representation) -> None:
        """One of the same size takes the numbers as they are; of any other field, the distance to where it is solid.

        Raises:
            UserError: nothing or everything of it is.
        """
        if isinstance(previous, SDFField) and previous.box.equal(self.box) and super().can_follow(previous):
            return super().follow(previous)
        assert isinstance(previous, RadianceField)
        parts = self._middles().to(previous.box).split(CHUNK)
        density = torch.cat([previous.density(part) for part in parts]).reshape(self.raw_distance.shape[2:])
        level = self.config.threshold or math.log(2) / previous.spacing
        solid = (density > level).cpu().numpy()
        if solid.all() or not solid.any():
            share, most = "all" if solid.any() else "none", float(density.max())
            raise UserError(
                f"representation.threshold: {level:g}; {share} of the former field is denser (at most {most:.3g}): "
                "no surface to start from; give a density between"
            )
        away = distance_transform_edt(~solid) - distance_transform_edt(solid)
        cells = torch.from_numpy((away - 0.5 * numpy.sign(away)).astype(numpy.float32))
        self.raw_distance.copy_(cells.reshape(self.raw_distance.shape))
        colour = torch.cat([previous.features(part) for part in parts])
        self.raw_features.copy_(torch.logit(colour, eps=0.01).T.reshape(self.raw_features.shape))

    @property
    def width(self) -> Tensor:
        """Of the surface, a scalar, world units."""
        return self.log_width.exp()

    def signed_distance(self, points: Tensor) -> Tensor:
        """(N, 3) world points -> (N,), world units, below 0 inside; beyond the box as on its border."""
        return self.spacing * self._read(self.raw_distance, points)[0]

    def density(self, points: Tensor) -> Tensor:
        found = density_of(self.signed_distance(points), self.width, self.config.density)
        inside = (points.abs() <= self.config.box * (1 + 1e-5)).all(dim=-1)
        return found * inside

    def features(self, points: Tensor) -> Tensor:
        return self._read(self.raw_features, points).T.sigmoid()

    def _read(self, grid: Tensor, points: Tensor) -> Tensor:
        """(1, C, Z, Y, X) at world points (N, 3): (C, N)."""
        places = (points / self.config.box).to(grid)[None, None, None]
        found = functional.grid_sample(grid, places, mode="bilinear", padding_mode="border", align_corners=False)
        return found[0, :, 0, 0]

    def _middles(self) -> Tensor:
        """Where the grid's numbers lie, (Z Y X, 3), world units."""
        side = self.config.resolution
        axis = ((torch.arange(side, device=self.box.device) + 0.5) / side * 2 - 1) * self.config.box
        z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
        return torch.stack([x, y, z], dim=-1).reshape(-1, 3)
