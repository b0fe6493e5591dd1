"""Pictures of many objects at once on any device, by rasterising: what ray casting of `zero3d.mesh_views` draws, batched."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.geometry import rays
from zero3d.values import Cameras
from zero3d_procedural.texture import patterned
from zero3d_procedural.triangles import barycentric, covered


@dataclass(frozen=True)
class Scenes:
    """B objects where they stand, and what they look like.

    corners (F, 3, 3): of all objects' triangles, world units, closed and outward-oriented. colours (F, 3) in [0, 1].
    owner (F,) int64: whose each triangle is, rising. light (B, 4): ambient share, and the direction towards the rest.
    patterns (B, NUMBERS): see `zero3d_procedural.texture`.
    """

    corners: Tensor
    colours: Tensor
    owner: Tensor
    light: Tensor
    patterns: Tensor


@dataclass(frozen=True)
class _Grids:
    """Which of a V-view picture's points are looked at: G grids a view, each of `height` x `width` points `step` apart.

    first (V, G, 2) int64: the first point of each, from the left and from the top.
    """

    first: Tensor
    step: int
    height: int
    width: int


def draw(scenes: Scenes, cameras: Cameras, supersample: int = 2) -> Tensor:
    """Straight-alpha RGBA (B * T, H, W, 4) in [0, 1] of the object b from each of its T cameras; white where it is not.

    `cameras` holds B * T, object by object; supersample: rays per pixel side.
    """
    fine = cameras.resized(cameras.height * supersample, cameras.width * supersample)
    first = torch.zeros(len(cameras), 1, 2, dtype=torch.long, device=scenes.corners.device)
    rgba = _seen(scenes, fine, _Grids(first, 1, fine.height, fine.width))[:, 0]
    return _straight(functional.avg_pool2d(rgba.permute(0, 3, 1, 2), supersample).permute(0, 2, 3, 1))


def draw_every(scenes: Scenes, cameras: Cameras, every: int, first: Tensor, supersample: int = 2) -> Tensor:
    """Of `draw`'s pictures each `every`th pixel each way, to rounding, at a fraction of the cost.

    first (B * T, 2) int64, below `every`: the first pixel of each view, from the left and from the top. Returns
    (B * T, H // every, W // every, 4).
    """
    fine = cameras.resized(cameras.height * supersample, cameras.width * supersample)
    within = torch.cartesian_prod(*(torch.arange(supersample, device=first.device),) * 2)
    starts = first[:, None] * supersample + within
    grids = _Grids(starts, every * supersample, cameras.height // every, cameras.width // every)
    return _straight(_seen(scenes, fine, grids).mean(dim=1))


def _straight(mean: Tensor) -> Tensor:
    """From colours times alpha to straight alpha on white."""
    share = mean[..., 3:]
    return torch.cat([torch.where(share > 0, mean[..., :3] / share.clamp(min=1e-3), 1.0), share], dim=-1)


def _seen(scenes: Scenes, cameras: Cameras, grids: _Grids) -> Tensor:
    """Colours times alpha, and alpha, of single points: (B * T, G, h, w, 4)."""
    objects, views = len(scenes.light), len(cameras)
    face, ahead = _nearest(scenes, cameras, grids, views // objects)
    hit = face >= 0
    face = face.clamp(min=0)
    points = _points(ahead, cameras, grids).reshape(objects, -1, 3)
    colours = patterned(points, scenes.colours[face].reshape(objects, -1, 3), scenes.patterns)
    edges = scenes.corners[:, 1:] - scenes.corners[:, :1]
    normals = functional.normalize(torch.linalg.cross(edges[:, 0], edges[:, 1]), dim=-1)
    ambient, direction = scenes.light[scenes.owner].split([1, 3], dim=-1)
    bright = ambient + (1 - ambient) * (normals * direction).sum(dim=-1, keepdim=True).clamp(min=0)
    colours = colours.reshape(*face.shape, 3) * bright[face]
    return torch.cat([colours, torch.ones_like(colours[..., :1])], dim=-1) * hit[..., None]


def _nearest(scenes: Scenes, cameras: Cameras, grids: _Grids, views: int) -> tuple[Tensor, Tensor]:
    """The nearest triangle at each point (B * T, G, h, w), -1 for none, and how far it is along the camera's axis."""
    height, width, many = grids.height, grids.width, grids.first.shape[1]
    flat, nearness = _projected(scenes, cameras, views)
    first, second, third = flat.unbind(dim=1)
    across, down = second - first, third - first
    facing = (across[:, 0] * down[:, 1] < across[:, 1] * down[:, 0]).nonzero()[:, 0]
    flat, nearness = flat[facing], nearness[facing]
    view = scenes.owner[facing // views] * views + facing % views
    # in numbers of a grid's points; whole grids are one of each view, whose points are the pixels
    flat = ((flat[:, None] - grids.first[view][:, :, None].to(flat)) / grids.step).flatten(0, 1)
    triangle, pixel = covered(flat, width, height)
    weights, _ = barycentric(flat[triangle], pixel.to(flat))
    inside = (weights >= 0).all(dim=-1).nonzero()[:, 0]
    triangle, pixel, weights = triangle[inside], pixel[inside], weights[inside]
    entry, grid = triangle // many, triangle % many
    # 1 / depth is linear in the picture; bits of positive floats sort as the floats do
    distance = (weights * nearness[entry]).sum(dim=-1).reciprocal()
    key = (distance.view(torch.int32).long() << 32) | (facing[entry] // views)
    nothing = torch.iinfo(torch.int64).max
    nearest = key.new_full((len(cameras) * many * height * width,), nothing)
    place = ((view[entry] * many + grid) * height + pixel[:, 1]) * width + pixel[:, 0]
    nearest.scatter_reduce_(0, place, key, "amin")
    nearest = nearest.reshape(-1, many, height, width)
    hit = nearest != nothing
    ahead = torch.where(hit, (nearest >> 32).int().view(torch.float32), 1.0)
    return torch.where(hit, nearest & 0xFFFFFFFF, -1), ahead


def _projected(scenes: Scenes, cameras: Cameras, views: int) -> tuple[Tensor, Tensor]:
    """Corners in the pictures of each triangle's own T cameras: places (F * T, 3, 2), where pixels' centres are whole
    numbers from the left and from the top, and 1 / distance along the camera's axis (F * T, 3)."""
    poses = cameras.camera_to_world.reshape(-1, views, 4, 4)[scenes.owner]
    offset = scenes.corners[:, :, None] - poses[:, None, :, :3, 3]
    local = torch.einsum("ftji,fctj->ftci", poses[..., :3, :3], offset)
    nearness = -1 / local[..., 2]
    scale = (cameras.width / (2 * torch.tan(cameras.fovs / 2))).reshape(-1, views)[scenes.owner][..., None, None]
    middle = local.new_tensor([(cameras.width - 1) / 2, (cameras.height - 1) / 2])
    flat = torch.stack([local[..., 0], -local[..., 1]], dim=-1) * nearness[..., None] * scale + middle
    return flat.flatten(0, 1), nearness.flatten(0, 1)


def _points(ahead: Tensor, cameras: Cameras, grids: _Grids) -> Tensor:
    """World points (V, G, h, w, 3) that far along the camera's axis, on the rays of the grids' points."""
    directions = rays(cameras)[1]
    if grids.step == 1:
        directions = directions[:, None]
    else:
        x, y = (grids.first[..., i, None] + grids.step * torch.arange(n, device=ahead.device)
                for i, n in ((0, grids.width), (1, grids.height)))  # fmt: skip
        view = torch.arange(len(cameras), device=ahead.device)[:, None, None, None]
        directions = directions[view, y[..., :, None], x[..., None, :]]
    axis = -cameras.camera_to_world[:, None, None, None, :3, 2]
    origins = cameras.position[:, None, None, None]
    return origins + directions * (ahead / (directions * axis).sum(dim=-1))[..., None]
