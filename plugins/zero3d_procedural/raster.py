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


def draw(scenes: Scenes, cameras: Cameras, supersample: int = 2) -> Tensor:
    """Straight-alpha RGBA (B * T, H, W, 4) in [0, 1] of the object b from each of its T cameras; white where it is not.

    `cameras` holds B * T, object by object; supersample: rays per pixel side.
    """
    objects, views = len(scenes.light), len(cameras)
    fine = cameras.resized(cameras.height * supersample, cameras.width * supersample)
    face, ahead = _nearest(scenes, fine, views // objects)
    hit = face >= 0
    face = face.clamp(min=0)
    points = _points(ahead, fine).reshape(objects, -1, 3)
    colours = patterned(points, scenes.colours[face].reshape(objects, -1, 3), scenes.patterns)
    edges = scenes.corners[:, 1:] - scenes.corners[:, :1]
    normals = functional.normalize(torch.linalg.cross(edges[:, 0], edges[:, 1]), dim=-1)
    ambient, direction = scenes.light[scenes.owner].split([1, 3], dim=-1)
    bright = ambient + (1 - ambient) * (normals * direction).sum(dim=-1, keepdim=True).clamp(min=0)
    colours = colours.reshape(*face.shape, 3) * bright[face]
    rgba = torch.cat([colours, torch.ones_like(colours[..., :1])], dim=-1) * hit[..., None]
    mean = functional.avg_pool2d(rgba.permute(0, 3, 1, 2), supersample).permute(0, 2, 3, 1)
    share = mean[..., 3:]
    return torch.cat([torch.where(share > 0, mean[..., :3] / share.clamp(min=1e-3), 1.0), share], dim=-1)


def _nearest(scenes: Scenes, cameras: Cameras, views: int) -> tuple[Tensor, Tensor]:
    """The nearest triangle of each pixel (B * T, H, W), -1 for none, and how far it is along the camera's axis."""
    height, width = cameras.height, cameras.width
    flat, nearness = _projected(scenes, cameras, views)
    first, second, third = flat.unbind(dim=1)
    across, down = second - first, third - first
    facing = (across[:, 0] * down[:, 1] < across[:, 1] * down[:, 0]).nonzero()[:, 0]
    flat, nearness = flat[facing], nearness[facing]
    triangle, pixel = covered(flat, width, height)
    weights, _ = barycentric(flat[triangle], pixel.to(flat))
    inside = (weights >= 0).all(dim=-1).nonzero()[:, 0]
    triangle, pixel, weights = triangle[inside], pixel[inside], weights[inside]
    # 1 / depth is linear in the picture; bits of positive floats sort as the floats do
    distance = (weights * nearness[triangle]).sum(dim=-1).reciprocal()
    entry = facing[triangle]
    face, view = entry // views, scenes.owner[entry // views] * views + entry % views
    key = (distance.view(torch.int32).long() << 32) | face
    nothing = torch.iinfo(torch.int64).max
    nearest = key.new_full((len(cameras) * height * width,), nothing)
    nearest.scatter_reduce_(0, (view * height + pixel[:, 1]) * width + pixel[:, 0], key, "amin")
    nearest = nearest.reshape(-1, height, width)
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


def _points(ahead: Tensor, cameras: Cameras) -> Tensor:
    """World points (V, H, W, 3) that far along the camera's axis, on the rays of the pixels' centres."""
    origins, directions = rays(cameras)
    axis = -cameras.camera_to_world[:, None, None, :3, 2]
    return origins + directions * (ahead / (directions * axis).sum(dim=-1))[..., None]
