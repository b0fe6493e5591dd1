"""What both have in common: fixed views in groups, options, modules that are filled by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.geometry import orbit
from zero3d.values import Cameras, Subject

DTYPES = ("auto", "float32", "float16", "bfloat16")
NEAR = 1e-2
"""How far a camera's direction may be from that of one of the fixed views (of unit length) to be that one."""
STANDARD_EXTENT = 2 * math.tan(math.atan(16 / 35))
"""Half of what the standard input camera (49.13 degrees, distance 2) shows at the origin, world units."""


def distance_for(fov_deg: float) -> float:
    """From where a camera shows as much at the origin as the standard input camera does."""
    return STANDARD_EXTENT / math.tan(math.radians(fov_deg) / 2)


def ring(
    subject: Subject, azimuth_deg: list[float], elevation_deg: list[float], size: int, fov_deg: float, distance: float
) -> Cameras:
    """Cameras at azimuths relative to the first picture's (0 without one) and at absolute elevations."""
    start = math.degrees(float(subject.pictures[0].camera.azimuth[0])) if subject.pictures else 0.0
    elevation, azimuth = torch.tensor(elevation_deg), start + torch.tensor(azimuth_deg)
    return orbit(elevation, azimuth, size, distance or distance_for(fov_deg), math.radians(fov_deg))


def places(cameras: Cameras, own: Cameras, who: str) -> Tensor:
    """(B,) where in its sorted batch each view stands: group by group, which of the n fixed views it is.

    Raises:
        ValueError: no whole groups, or a group that is not those n views, each once.
    """
    count = len(own)
    if len(cameras) % count or not len(cameras):
        raise ValueError(f"{who}: {len(cameras)} views; it draws its own {count} together")
    directions = functional.normalize(cameras.position.cpu(), dim=-1).reshape(-1, count, 3)
    wanted = functional.normalize(own.position.cpu(), dim=-1)
    off, which = torch.cdist(directions, wanted.expand(len(directions), -1, -1)).min(dim=-1)
    if bool((off > NEAR).any()) or bool((which.sort(dim=1).values != torch.arange(count)).any()):
        raise ValueError(f"{who}: views that are not its own {count}; ask for those of Denoiser.views")
    return (which + count * torch.arange(len(which))[:, None]).flatten()


def group_levels(sigma: Tensor, group: int, who: str) -> Tensor:
    """(B,) -> (B / group,): the level of each group.

    Raises:
        ValueError: several in a group.
    """
    levels = sigma.reshape(-1, group)
    if bool((levels != levels[:, :1]).any()):
        raise ValueError(f"{who}: several noise levels in a group of {group} views; give each group one")
    return levels[:, 0]


def check_options(config: Any) -> None:
    """What both share.

    Raises:
        ValueError: out of range; the message begins with the option's name.
    """
    if not config.weights:
        raise ValueError("weights: empty; see `zero3d weights list`")
    if config.dtype not in DTYPES:
        raise ValueError(f"dtype: {config.dtype!r}; one of {', '.join(DTYPES)}")
    if config.size % 64 or not 64 <= config.size <= 2048:
        raise ValueError(f"size: {config.size}; a multiple of 64 pixels, 64 to 2048")
    if not 1 <= config.fov_deg <= 120:
        raise ValueError(f"fov_deg: {config.fov_deg}; 1 to 120 degrees")
    if not 0 <= config.distance <= 100:
        raise ValueError(f"distance: {config.distance}; 0 (found by fov_deg) to 100 world units")


def precision(config: Any, device: torch.device) -> torch.dtype:
    """The U-Net's."""
    auto = torch.float16 if device.type == "cuda" else torch.float32
    chosen: torch.dtype = auto if config.dtype == "auto" else getattr(torch, config.dtype)
    return chosen


def frozen(module: nn.Module, device: torch.device) -> Any:
    """On a device, in inference mode, without gradients in its weights."""
    return module.to(device).eval().requires_grad_(False)


def numbers(module: nn.Module) -> int:
    """How many parameters it has."""
    return sum(parameter.numel() for parameter in module.parameters())


def as_named(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """A CLIP text tower's tensors with the prefix that this version of transformers gives it, or without one."""
    prefix = "text_model."
    wanted = any(name.startswith(prefix) for name in module.state_dict())
    bare = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return {prefix + name: tensor for name, tensor in bare.items()} if wanted else bare
