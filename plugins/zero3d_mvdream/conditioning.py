"""What the joint networks are told: words, the camera's 16 numbers, and in ImageDream the picture."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.values import Cameras, Picture
from zero3d.weights import CLIP_MEAN, CLIP_STD


@dataclass(frozen=True)
class JointCondition:
    """By branch: `context` (1, L, C), the tokens that cross-attention reads; `latent` (1, 4, h, w), the fifth frame.

    `latent` is empty for MVDream.
    """

    context: dict[str, Tensor]
    latent: dict[str, Tensor] = field(default_factory=dict)


def camera_numbers(cameras: Cameras) -> Tensor:
    """The 16 numbers of each camera, (B, 16): camera-to-world, row by row, its translation of unit length.

    OpenGL axes in a world with z up, as here. MVDream counts azimuths from another axis (its A is A - 90 degrees here), but
    the matrix is the same one.
    """
    pose = cameras.camera_to_world.clone()
    pose[:, :3, 3] = functional.normalize(pose[:, :3, 3], dim=-1)
    return pose.flatten(1)


def over_grey(picture: Picture, grey: float) -> Tensor:
    """The picture's object over a grey, (H, W, 3); the picture itself stands over white."""
    return picture.rgb + (grey - 1) * (1 - picture.mask)


def clip_pixels(picture: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) in [0, 1], square -> the vision tower's input, as OpenCLIP: bicubic with antialiasing, clamped.

    (OpenCLIP rounds to 8 bits between, which is left out.)
    """
    small = functional.interpolate(picture, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (picture.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (small - mean) / std


def in_groups(views: Tensor, own: Tensor | None, group: int) -> Tensor:
    """(G * group, ...) with `own` (1, ...) behind each group: (G * (group + 1), ...); as they are without it."""
    if own is None:
        return views
    groups = views.unflatten(0, (-1, group))
    return torch.cat([groups, own.expand(len(groups), *own.shape)], dim=1).flatten(0, 1)
