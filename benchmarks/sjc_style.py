"""Volume rendering as Score Jacobian Chaining writes it: chains of PyTorch calls around grid_sample.

The yardstick of `benchmarks/render.py`, after pals-ttic/sjc's voxnerf: density of all samples in the box, weights, then
features of those whose weight exceeds the threshold. It draws the same picture as `volume`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import rays
from zero3d.values import Cameras, View
from zero3d_voxels.field import VoxelField
from zero3d_voxels.sampling import box_interval


def render(
    field: VoxelField, cameras: Cameras, background: Tensor, step_ratio: float = 0.5, threshold: float = 1e-4
) -> View:
    """Image, opacity and depth of B views."""
    origins, directions = (part.reshape(-1, 3) for part in rays(cameras))
    near, far = box_interval(origins, directions, field.box)
    step = field.spacing * step_ratio
    chord = (far - near).clamp(min=0)
    offset = torch.arange(math.floor(float(chord.max()) / step) + 1) * step
    distance = near[:, None] + offset
    points = origins[:, None] + directions[:, None] * distance[..., None]
    valid = offset < chord[:, None]

    density = torch.zeros_like(distance)
    raw = _sample(field.raw_density, points[valid], field.box)[0]
    scale = field.log_scale.exp() * field.config.density_gain
    density[valid] = functional.softplus(scale * raw + field.config.density_shift)
    thickness = torch.cumsum(density * step, dim=-1)
    left = functional.pad(torch.exp(-thickness), (1, 0), value=1.0)
    weights = left[:, :-1] - left[:, 1:]

    seen = weights > threshold
    features = _sample(field.raw_features, points[seen], field.box).T
    colour = torch.zeros(*distance.shape, field.channels)
    colour[seen] = features.sigmoid() if field.sigmoid else features
    shape = (len(cameras), cameras.height, cameras.width, -1)
    opacity = weights.sum(-1).reshape(shape)
    image = (weights[..., None] * colour).sum(1).reshape(shape) + (1 - opacity) * background
    depth = (weights * distance).sum(-1).reshape(shape) + (1 - opacity) * 10
    return View(image=image, opacity=opacity, depth=depth)


def _sample(grid: Tensor, points: Tensor, box: Tensor) -> Tensor:
    at = 2 * (points - box[0]) / (box[1] - box[0]) - 1
    values = functional.grid_sample(grid, at[None, None, None], padding_mode="zeros", align_corners=False)
    return values.reshape(grid.shape[1], -1)
