"""What the published network is told of the picture: CLIP's embedding, the pose beside it, and the VAE's mode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.values import Cameras
from zero3d.weights import CLIP_MEAN, CLIP_STD


@dataclass(frozen=True)
class PictureCondition:
    """`embedding` (1, 1, D): CLIP's, not normalised. `latent` (1, 4, h, w): the VAE's mode, NOT scaled by 0.18215."""

    embedding: Tensor
    latent: Tensor
    camera: Cameras


@dataclass(frozen=True)
class PictureConditions:
    """Several pictures of one object, each with its share in the recipe."""

    pictures: tuple[PictureCondition, ...]
    weights: tuple[float, ...]

    def shares(self, cameras: Cameras) -> Tensor:
        """(K, B), each column's sum 1: how much each of K pictures counts for a view.

        By its weight, and by the square of what the angle between their lines of sight leaves of half a turn: a view counts
        the pictures on its side. (stable-dreamfusion weights its pictures and the guidance by that angle, linearly.)
        """
        sight = torch.nn.functional.normalize(cameras.position, dim=-1)
        sources = torch.cat([one.camera.position for one in self.pictures]).to(sight)
        cosine = torch.nn.functional.normalize(sources, dim=-1) @ sight.T
        near = (1 - cosine.clamp(-1, 1).acos() / math.pi).square().clamp(min=1e-6)
        share = near * near.new_tensor(self.weights)[:, None]
        return share / share.sum(dim=0, keepdim=True)


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
