"""What the published network is told of the picture: CLIP's embedding, the pose beside it, and the VAE's mode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import relative_pose
from zero3d.values import Cameras

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class PictureCondition:
    """`embedding` (1, 1, D): CLIP's, not normalised. `latent` (1, 4, h, w): the VAE's mode, NOT scaled by 0.18215."""

    embedding: Tensor
    latent: Tensor
    camera: Cameras


def clip_pixels(picture: Tensor, size: int) -> Tensor:
    """(B, 3, H, W) in [-1, 1] -> CLIP's input, as the original: bicubic with aligned corners, no antialiasing, no clamp.

    (transformers' own image processor antialiases, crops and rounds to 8 bits, and gives another embedding.)
    """
    small = functional.interpolate(picture, (size, size), mode="bicubic", align_corners=True, antialias=False)
    mean, std = (picture.new_tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return ((small + 1) / 2 - mean) / std


def posed_token(projection: torch.nn.Module, embedding: Tensor, pose: Tensor) -> Tensor:
    """cc_projection([CLIP; T]): (1, 1, D) and (B, 4) -> the one cross-attention token of each view, (B, 1, D)."""
    token: Tensor = projection(torch.cat([embedding.expand(len(pose), -1, -1), pose[:, None].to(embedding)], dim=-1))
    return token


def stable_pose(target: Cameras, source: Cameras) -> Tensor:
    """Stable Zero123's pose vector (B, 4): the fourth number is the input's polar angle, pi/2 - its elevation, in radians.

    It stands where Zero-1-to-3 has the change of distance, which Stable Zero123 cannot be told. (threestudio,
    stable_zero123_guidance.)
    """
    pose = relative_pose(target, source)
    polar = (math.pi / 2 - source.elevation).to(pose).expand(len(pose))
    return torch.cat([pose[:, :3], polar[:, None]], dim=-1)
