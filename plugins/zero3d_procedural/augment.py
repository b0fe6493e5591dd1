"""More examples from each: the same object in a mirror, and in other colours."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zero3d.interfaces import TrainingBatch
from zero3d.values import Cameras


def augmented(batch: TrainingBatch, generator: torch.Generator) -> TrainingBatch:
    """Half of the objects mirrored at the plane y = 0, each with its colour channels in a random order.

    The light is white and comes from above, a little from one side: both are pictures that the renderer could have made of
    other objects, but for that side.
    """
    objects = len(batch.input_cameras)
    per_object = len(batch.target_cameras) // objects
    mirror = torch.rand(objects, generator=generator) < 0.5
    order = torch.rand(objects, 3, generator=generator).argsort(dim=-1)
    targets = mirror.repeat_interleave(per_object)
    return replace(
        batch,
        input_rgba=_mirrored_picture(_recoloured(batch.input_rgba, order), mirror),
        input_cameras=_mirrored_cameras(batch.input_cameras, mirror),
        target_rgba=_mirrored_picture(_recoloured(batch.target_rgba, order.repeat_interleave(per_object, 0)), targets),
        target_cameras=_mirrored_cameras(batch.target_cameras, targets),
        occupancy=None if batch.occupancy is None else _where(mirror, batch.occupancy.flip(2), batch.occupancy),
    )


def _recoloured(rgba: Tensor, order: Tensor) -> Tensor:
    colour = rgba[..., :3].gather(-1, order[:, None, None].expand(*rgba.shape[:-1], 3))
    return torch.cat([colour, rgba[..., 3:]], dim=-1)


def _mirrored_picture(rgba: Tensor, mirror: Tensor) -> Tensor:
    return _where(mirror, rgba.flip(2), rgba)


def _mirrored_cameras(cameras: Cameras, mirror: Tensor) -> Cameras:
    """y -> -y in the world, and x -> -x in the camera, so that its axes stay right-handed."""
    pose = cameras.camera_to_world
    flip = pose.new_tensor([1, -1, 1, 1]).diag() @ pose @ pose.new_tensor([-1, 1, 1, 1]).diag()
    return replace(cameras, camera_to_world=_where(mirror, flip, pose))


def _where(mirror: Tensor, mirrored: Tensor, plain: Tensor) -> Tensor:
    return torch.where(mirror.reshape(-1, *(1,) * (plain.ndim - 1)), mirrored, plain)
