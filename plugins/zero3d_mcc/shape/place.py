"""Where the shape stands in the world: its camera is the input's, its size is not known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zero3d import UserError
from zero3d.values import Cameras
from zero3d_mcc.depth.prepared import Prepared
from zero3d_mcc.shape.result import Placement


def placed(vertices: Tensor, shown: Prepared, camera: Cameras, align: str) -> tuple[Placement, dict[str, Any]]:
    """The way of normalised points to the world, and what to keep of it in words and numbers.

    A normalised point p is (p + middle) * scale in the camera's axes; `Cameras.camera_to_world` turns those. picture: scaled
    from the camera until the middle of the shape's depths is as far away as the origin, so that its outline stays the
    picture's. unit: the middle of its box at the origin, its longest side 1. none: as long as it is.

    Raises:
        UserError: picture, and the shape does not lie before the camera.
    """
    pose = camera.camera_to_world[0].to(vertices)
    turn, eye = pose[:3, :3], pose[:3, 3]
    scale, own = float(shown.scale), (vertices + shown.middle.to(vertices)) * float(shown.scale)
    factor, shift = 1.0, torch.zeros_like(eye)
    if align == "picture":
        ahead = -float(own[:, 2].amin() + own[:, 2].amax()) / 2
        if ahead <= 0:
            raise UserError(
                "start: the points are not before the camera; say their axes by start.points_axes, or set start.align=unit"
            )
        factor = float(camera.distance[0]) / ahead
    elif align == "unit":
        world = own @ turn.T
        low, high = world.amin(dim=0), world.amax(dim=0)
        factor = 1 / float((high - low).max())
        shift = -eye - factor * (low + high) / 2
    placement = Placement(turn, factor * scale, factor * scale * turn @ shown.middle.to(turn) + eye + shift)
    told = {"alignment": align, "scale": factor, "input_std": scale, "input_mean": shown.middle.tolist()}
    return placement, told
