"""From depths to points in the input camera's axes (OpenGL: x right, y up, looking along -z)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import rays
from zero3d.values import Cameras, Window

AXES = {"opengl": (1.0, 1.0, 1.0), "opencv": (1.0, -1.0, -1.0), "pytorch3d": (-1.0, 1.0, -1.0)}
"""What makes OpenGL's axes of others, each of which is half a turn away."""
LOW, HIGH = 0.02, 0.98
"""Percentiles of relative depths that are put at far and near."""
ALIKE = 0.02
"""By how much the shapes of a map and of the picture may differ."""


def unprojected(depth: Tensor, camera: Cameras, along: str = "axis") -> Tensor:
    """(H, W) distances along the camera's axis, or along each pixel's ray, to points (H, W, 3) in the camera's axes; those
    that are not above 0 and finite are unknown: inf."""
    own = replace(camera.resized(*depth.shape), camera_to_world=torch.eye(4)[None].to(depth))
    directions = rays(own)[1][0]
    if along == "axis":
        directions = directions / -directions[..., 2:]
    known = (depth > 0) & depth.isfinite()
    return torch.where(known[..., None], directions * depth[..., None], torch.inf)


def from_relative(inverse: Tensor, mask: Tensor, near: float, far: float) -> Tensor:
    """(H, W) depths of inverse depths that are known but for a factor and a shift: within `mask` (H, W) bool, the 2nd
    percentile is put at `far` and the 98th at `near`, 1 / depth lies linearly between and beyond; where that is not above 0,
    nothing is known (inf)."""
    told = _few(inverse[mask & inverse.isfinite()])
    if not len(told):
        return torch.full_like(inverse, torch.inf)
    low, high = torch.quantile(told, inverse.new_tensor([LOW, HIGH]))
    share = (inverse - low) / (high - low).clamp(min=1e-12)
    inverted = (1 - share) / far + share / near
    return torch.where(inverted > 0, 1 / inverted, torch.inf)


def _few(values: Tensor) -> Tensor:
    """torch.quantile takes 16 million at most."""
    return values[:: 1 + len(values) // 2**23]


def misfit(height: int, width: int, window: Window) -> str:
    """What is wrong with a map's size, for the end of a line; "" if it can show the same as the picture."""
    if abs(height * window.width / (width * window.height) - 1) <= ALIKE:
        return ""
    return (
        f"{width}x{height} pixels, the picture has {window.width}x{window.height}; another shape: give the map of the whole "
        "picture, as it is before it is framed"
    )


def in_frame(values: Tensor, window: Window, size: int) -> Tensor:
    """A map (h, w, C) of the whole source picture, of any size, as the prepared picture of `size` pixels sees it: bilinear
    between neighbours, inf outside of the source and where one that counts is not finite."""
    steps = (torch.arange(size, device=values.device) + 0.5) * (window.side / size)
    y, x = window.top + steps, window.left + steps
    inside = ((y >= 0) & (y <= window.height))[:, None] & ((x >= 0) & (x <= window.width))
    grid = torch.stack(torch.meshgrid(2 * y / window.height - 1, 2 * x / window.width - 1, indexing="ij"), dim=-1)
    finite = values.isfinite().all(dim=-1, keepdim=True)
    both = torch.cat([torch.where(finite, values, 0), (~finite).to(values)], dim=-1).movedim(-1, 0)[None]
    found = functional.grid_sample(
        both, grid.flip(-1)[None].to(values), mode="bilinear", padding_mode="border", align_corners=False
    )[0].movedim(0, -1)
    known = inside[..., None] & (found[..., -1:] <= 1e-6)
    return torch.where(known, found[..., :-1], torch.inf)


def eroded(mask: Tensor, pixels: int) -> Tensor:
    """(H, W) bool without what lies within `pixels` of its edge; the picture's edge is none."""
    if not pixels:
        return mask
    off = functional.max_pool2d((~mask)[None, None].float(), 2 * pixels + 1, 1, pixels)[0, 0]
    return off == 0
