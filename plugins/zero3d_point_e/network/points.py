"""The denoiser of point clouds: base models and upsampler."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zero3d_point_e.network.blocks import Feedforward, SelfBlocks, time_vector

CHANNELS = 6
"""x, y, z, red, green, blue."""
SCALES = (2.0, 2.0, 2.0, 0.007843137255, 0.007843137255, 0.007843137255)
BIASES = (0.0, 0.0, 0.0, -1.0, -1.0, -1.0)
"""model = raw * scale + bias; raw: coordinates of the unit cube, colours 0 to 255."""
GRID, VECTOR, NOTHING = "grid", "vector", "nothing"
"""What a model is conditioned on: CLIP's patch tokens, a CLIP embedding of a picture or words, or nothing."""


@dataclass(frozen=True)
class Size:
    """Of a network. points: it makes. low: points that it refines, of an upsampler. features: width of the condition."""

    width: int
    layers: int
    heads: int
    points: int = 1024
    low: int = 0
    condition: str = GRID
    features: int = 1024


class PointNetwork(nn.Module):
    """Noised points (B, 6, N) in model units, timesteps and condition -> noise and variance (B, 12, N); arXiv 2212.08751.

    The points are a set: no position is embedded. N is free.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size, width = size, size.width
        self.time_embed = Feedforward(width)
        self.ln_pre, self.ln_post = nn.LayerNorm(width), nn.LayerNorm(width)
        self.backbone = SelfBlocks(width, size.heads, size.layers)
        self.input_proj = nn.Linear(CHANNELS, width)
        self.output_proj = nn.Linear(width, 2 * CHANNELS)
        if size.condition == GRID:
            self.clip_embed: nn.Module = nn.Sequential(nn.LayerNorm(size.features), nn.Linear(size.features, width))
        elif size.condition == VECTOR:
            self.clip_embed = nn.Linear(size.features, width)
        if size.low:
            self.cond_point_proj = nn.Linear(CHANNELS, width)
            self.channel_scales: Tensor
            self.register_buffer("channel_scales", torch.tensor(SCALES))
            self.channel_biases: Tensor
            self.register_buffer("channel_biases", torch.tensor(BIASES))

    def condition_tokens(self, features: Tensor | None, low: Tensor | None = None) -> Tensor:
        """(B, T, W), which `forward` takes for every timestep; zeros stand for "not told".

        Args:
            features: CLIP's grid (B, features, 256) as it comes, or a unit vector (B, features); None of a model of nothing.
            low: an upsampler's coarse cloud (B, 6, M), raw units.
        """
        kind = self.input_proj.weight.dtype
        tokens = []
        if features is not None and self.size.condition == GRID:
            tokens.append(self.clip_embed(features.to(kind).transpose(1, 2)))
        elif features is not None and self.size.condition == VECTOR:
            tokens.append(self.clip_embed((features * self.size.features**0.5).to(kind))[:, None])
        if low is not None:
            scaled = low * self.channel_scales[:, None] + self.channel_biases[:, None]
            tokens.append(self.cond_point_proj(scaled.to(kind).transpose(1, 2)))
        if tokens:
            return torch.cat(tokens, dim=1)
        return self.input_proj.weight.new_zeros(1, 0, self.size.width)

    def forward(self, x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        kind = self.input_proj.weight.dtype
        time = self.time_embed(time_vector(t, self.size.width).to(kind))[:, None]
        points = self.input_proj(x.to(kind).transpose(1, 2))
        tokens = torch.cat([time, condition.expand(len(x), -1, -1), points], dim=1)
        out = self.ln_post(self.backbone(self.ln_pre(tokens)))[:, -x.shape[-1] :]
        return self.output_proj(out).transpose(1, 2).to(x.dtype)
