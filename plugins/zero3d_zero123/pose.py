"""What the teachers are told of where the camera went."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zero3d.values import Cameras


def relative_pose(target: Cameras, source: Cameras) -> Tensor:
    """Zero-1-to-3's pose vector T (B, 4): [polar difference, sin and cos of azimuth difference, distance difference].

    Polar angles run down from +z, so moving the camera up makes the first number negative. `source` may hold one
    camera for all of `target`'s. (arXiv 2303.11328 section 3.2; the signs are those of the published code.)
    """
    azimuth = target.azimuth - source.azimuth
    polar = source.elevation - target.elevation
    return torch.stack([polar, azimuth.sin(), azimuth.cos(), target.distance - source.distance], dim=-1)


def stable_pose(target: Cameras, source: Cameras) -> Tensor:
    """Stable Zero123's pose vector (B, 4): the fourth number is the input's polar angle, pi/2 - its elevation, in radians.

    It stands where Zero-1-to-3 has the change of distance, which Stable Zero123 cannot be told. (threestudio,
    stable_zero123_guidance.)
    """
    pose = relative_pose(target, source)
    polar = (math.pi / 2 - source.elevation).to(pose).expand(len(pose))
    return torch.cat([pose[:, :3], polar[:, None]], dim=-1)
