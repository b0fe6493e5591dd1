"""The small critic: a convolutional U-Net of our own, for pixels or a latent, that begins from nothing."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.diffusion import to_variance_preserving, x0_from_v
from zero3d.values import Cameras
from zero3d_score.critic.base import CameraEmbedding, Critic, drawn, zeroed

GROUPS = 8
"""Of its norms: its width is a multiple of this."""
FREQUENCIES = 8
"""Of the noise level's embedding."""


class SmallCritic(Critic):
    """Three levels of two residual blocks in all, told the noise level, the camera and where a pixel lies.

    It predicts v of (y - centre) / unit. Its last layer is zero at first: then D is that of the prior N(centre, unit^2). The
    condition is not told: it learns how this one object looks.
    """

    def __init__(self, channels: int, unit: float, centre: float, width: int) -> None:
        super().__init__()
        self.unit, self.centre = unit, centre
        embedding = 4 * width
        self.level = nn.Sequential(nn.Linear(2 * FREQUENCIES, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.camera = CameraEmbedding(embedding)
        self.first = nn.Conv2d(channels + 2, width, 3, padding=1)
        self.down = nn.ModuleList([_Block(width, width, embedding), _Block(width, 2 * width, embedding)])
        self.middle = _Block(2 * width, 2 * width, embedding)
        self.up = nn.ModuleList([_Block(4 * width, width, embedding), _Block(2 * width, width, embedding)])
        self.norm = nn.GroupNorm(GROUPS, width)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def initialise(self, generator: torch.Generator) -> None:
        drawn(self, generator)
        self.camera.initialise(generator)
        zeroed(self.last)

    def predict(self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, pose: Tensor) -> Tensor:
        s, away = sigma / self.unit, (noised - self.centre) / self.unit
        v = self._v(to_variance_preserving(away, s), s, pose).to(noised)
        return self.centre + self.unit * x0_from_v(away, v, s)

    def _v(self, z: Tensor, s: Tensor, pose: Tensor) -> Tensor:
        """(B, h, w, C) of a view in variance-preserving form."""
        weight = self.first.weight
        x = z.to(weight).permute(0, 3, 1, 2).contiguous()  # group norm loses a flat picture's variance in other layouts
        angles = s.to(weight).log()[:, None] / 8 * 2 ** torch.arange(FREQUENCIES, device=weight.device)
        embedding = self.level(torch.cat([angles.sin(), angles.cos()], dim=1)) + self.camera(pose.to(weight))
        x = self.first(torch.cat([x, _places(x)], dim=1))
        kept = []
        for block in self.down:
            x = block(x, embedding)
            kept.append(x)
            x = functional.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
        x = self.middle(x, embedding)
        for block in self.up:
            beside = kept.pop()
            x = block(torch.cat([functional.interpolate(x, beside.shape[-2:]), beside], dim=1), embedding)
        found: Tensor = self.last(functional.silu(self.norm(x)))
        return found.permute(0, 2, 3, 1)


class _Block(nn.Module):
    """Two convolutions; the embedding scales and shifts between them."""

    def __init__(self, before: int, after: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(GROUPS, before), nn.GroupNorm(GROUPS, after)
        self.conv1 = nn.Conv2d(before, after, 3, padding=1)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1)
        self.embed = nn.Linear(embedding, 2 * after)
        self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        scale, shift = self.embed(functional.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        y = self.norm2(self.conv1(functional.silu(self.norm1(x)))) * (1 + scale) + shift
        found: Tensor = (self.skip(x) + self.conv2(functional.silu(y))) / math.sqrt(2)
        return found


def _places(x: Tensor) -> Tensor:
    """(B, 2, h, w): how far right and down, -1 to 1."""
    down, right = (torch.linspace(-1, 1, n, device=x.device, dtype=x.dtype) for n in x.shape[-2:])
    return torch.stack(torch.meshgrid(right, down, indexing="xy")).expand(len(x), -1, -1, -1)
