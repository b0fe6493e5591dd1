"""Solids that need no network: what a silhouette alone tells, the least that a method must beat."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.errors import UserError
from zero3d.interfaces import RadianceField, Reconstructor, Representation
from zero3d.values import Cameras, Step, Subject

BOX = 0.75
SIDE = 128
DENSE = 200.0
"""Density inside, per world unit: a cell stops nearly all light."""
EDGE = 0.01
"""World units over which it falls to nothing, so that the surface lies between cells where it should."""


class Solid(RadianceField):
    """A solid known by a signed distance in the frame of the camera that saw it, coloured by the picture."""

    name: ClassVar[str] = "solid"
    channels = 3
    spacing = EDGE

    def __init__(self, picture: Tensor, frame: Tensor, half: Tensor, mask: Tensor | None, across: float) -> None:
        """picture (3, H, W); frame (3, 3): rows are right, up and towards the camera; half (3,): half-extents along them,
        about `centre` of the mask's box; mask (H, W) for an extrusion, None for an ellipsoid; across: world units of the
        picture's width."""
        super().__init__(None)
        self.box: Tensor
        self.across = across
        self.register_buffer("box", torch.tensor([[-BOX] * 3, [BOX] * 3]))
        for name, value in (("picture", picture), ("frame", frame), ("reach", half)):
            self.register_buffer(name, value.clone())
        self.register_buffer("outline", torch.zeros(0) if mask is None else _signed(mask) * across / mask.shape[1])

    def initialise(self, step: Step) -> None:
        """It is whole as it is made."""

    def distance(self, points: Tensor) -> Tensor:
        """(N, 3) -> (N,): below 0 inside, world units, right to first order near the surface."""
        frame, half = self.get_buffer("frame"), self.get_buffer("reach")
        local = points @ frame.T.to(points)
        if self.get_buffer("outline").numel() == 0:
            local = local - self.middle.to(points)
            scaled = (local / half).norm(dim=-1)
            return (scaled - 1) * half.min()
        away = self._read(self.get_buffer("outline")[None], local)[:, 0]
        return torch.maximum(away, local[:, 2].abs() - half[2])

    middle: Tensor = torch.zeros(3)

    def density(self, points: Tensor) -> Tensor:
        return DENSE * (0.5 - self.distance(points) / EDGE).clamp(0, 1)

    def features(self, points: Tensor) -> Tensor:
        return self._read(self.get_buffer("picture"), points @ self.get_buffer("frame").T.to(points))

    def _read(self, plane: Tensor, local: Tensor) -> Tensor:
        """(C, H, W) at the places (right, up) of (N, 3): (N, C), seen in parallel; beyond the border as on it."""
        grid = local[:, :2] * local.new_tensor([2 / self.across, -2 / self.across])
        seen = functional.grid_sample(
            plane[None].to(local), grid[None, None], align_corners=False, padding_mode="border", mode="bilinear"
        )
        return seen[0, :, 0].T


class Silhouette(Reconstructor):
    """What both have in common: the mask, and where it lies in the world."""

    picture_resolution = SIDE
    recipe: ClassVar[Mapping[str, Any]] = {
        "cameras": {"type": "sphere", "resolution": 64},
        "representation": {"type": "voxels", "resolution": 96, "box": BOX, "density_shift": -4, "density_gain": 10},
        "renderer": {"type": "fused"},
        "export": {"mesh": {"type": "marching_cubes", "resolution": 128}},
    }

    def reconstruct(self, subject: Subject, step: Step) -> Representation:
        """Raises: UserError, the mask is empty."""
        posed = subject.pictures[0]
        mask = posed.picture.mask[..., 0] > 0.5
        if not bool(mask.any()):
            raise UserError(f"reconstructor {self.name}: the mask is empty")
        across = width_at_origin(posed.camera)
        axes = posed.camera.camera_to_world[0, :3, :3].T.to(mask.device)
        rows, columns = (mask.any(dim=axis).nonzero()[:, 0] for axis in (1, 0))
        height, width = (int(found[-1] - found[0]) + 1 for found in (rows, columns))
        pixel = across / mask.shape[1]
        half = torch.tensor([width, height, (width + height) / 2], device=mask.device) * pixel / 2
        right = (float(columns[0] + columns[-1] + 1) / 2 - mask.shape[1] / 2) * pixel
        up = (mask.shape[0] / 2 - float(rows[0] + rows[-1] + 1) / 2) * pixel
        made = self.solid(posed.picture.rgb.movedim(-1, 0), axes, half, mask, across)
        made.middle = torch.tensor([right, up, 0.0], device=mask.device)
        return made

    @abstractmethod
    def solid(self, picture: Tensor, axes: Tensor, half: Tensor, mask: Tensor, across: float) -> Solid:
        """The solid of a mask; arguments as `Solid`'s."""


class Extrusion(Silhouette):
    """The silhouette extruded along the line of sight, as deep as the mean of its width and height. No network."""

    name: ClassVar[str] = "extrusion"

    def solid(self, picture: Tensor, axes: Tensor, half: Tensor, mask: Tensor, across: float) -> Solid:
        return Solid(picture, axes, half, mask, across)


class Ellipsoid(Silhouette):
    """The ellipsoid that the silhouette bounds, as deep as the mean of its width and height. No network."""

    name: ClassVar[str] = "ellipsoid"

    def solid(self, picture: Tensor, axes: Tensor, half: Tensor, mask: Tensor, across: float) -> Solid:
        return Solid(picture, axes, half, None, across)


def width_at_origin(camera: Cameras) -> float:
    """World units that the picture's width spans at the origin's distance."""
    return float(2 * camera.distance[0] * torch.tan(camera.fovs[0] / 2))


def _signed(mask: Tensor) -> Tensor:
    """(H, W) bool -> pixels to the outline, below 0 inside."""
    from scipy.ndimage import distance_transform_edt

    inside = mask.cpu().numpy()
    away = distance_transform_edt(~inside) - distance_transform_edt(inside)
    return torch.from_numpy(away - 0.5 * (away > 0) + 0.5 * (away < 0)).to(mask.device).float()
