"""A radiance field on a multiresolution hash grid: two small networks read density and colour from its features."""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from zero3d.interfaces import RadianceField
from zero3d.values import Step
from zero3d_ngp.encoding import HashEncoding

BACKENDS = ("auto", "torch", "tinycudann")
ACTIVATIONS = ("softplus", "exp")
BLOBS = ("cone", "gaussian")
LARGEST_EXPONENT = 15.0
"""Of density's `exp`, as in Instant NGP's truncated exponential."""
START = 1e-4
"""Table entries begin uniform in +- this (Instant NGP, section 4)."""


@dataclass
class HashGridConfig:
    """Options of `hash_grid`.

    channels: 3 for RGB, or the denoiser's latent. box: half-side of the cube, world units. levels: of the grid, 1 to 16.
    base_resolution, finest_resolution: vertices a side of the first and the last level, 2 to 8192. table_log2: entries
    a level has at most, as a power of 2, 4 to 24. hidden: width of the two networks' one hidden layer, 8 to 256.
    detail: cells a side that renderers take their step from, 2 to 1024 (512 samples a ray in threestudio's recipes).
    density_activation: softplus or exp. density_bias: added before it, and so is a ball about the origin, blob_scale
    times (1 - distance / blob_radius) for blob: cone (Magic3D and threestudio: 10 and 0.5, with softplus), or times
    exp(-distance^2 / (2 blob_radius^2)) for gaussian (DreamFusion and stable-dreamfusion: 5 and 0.2, with exp); scale 0
    for none.
    grid_lr: learning rate of the table as a multiple of the networks'. backend: auto takes tinycudann on CUDA where it
    is installed, torch never does, tinycudann insists on it.
    """

    channels: int = 3
    box: float = 1.0
    levels: int = 8
    base_resolution: int = 16
    finest_resolution: int = 256
    table_log2: int = 15
    hidden: int = 32
    detail: int = 96
    density_activation: str = "softplus"
    density_bias: float = 0.0
    blob: str = "cone"
    blob_scale: float = 10.0
    blob_radius: float = 0.5
    grid_lr: float = 1.0
    backend: str = "auto"

    def __post_init__(self) -> None:
        for name, low, high in (
            ("channels", 1, 64),
            ("levels", 1, 16),
            ("base_resolution", 2, 8192),
            ("finest_resolution", 2, 8192),
            ("table_log2", 4, 24),
            ("hidden", 8, 256),
            ("detail", 2, 1024),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name}: {getattr(self, name)}; {low} to {high}")
        if self.finest_resolution < self.base_resolution:
            raise ValueError(f"finest_resolution: {self.finest_resolution}; at least base_resolution's")
        if self.blob not in BLOBS:
            raise ValueError(f"blob: {self.blob!r}; one of {', '.join(BLOBS)}")
        for name, least, most in (
            ("box", 1e-3, 1e3),
            ("blob_radius", 1e-3, 1e3),
            ("blob_scale", -1e3, 1e3),
            ("density_bias", -1e3, 1e3),
            ("grid_lr", 1e-6, 1e6),
        ):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name}: {getattr(self, name)}; {least:g} to {most:g}")
        if self.density_activation not in ACTIVATIONS:
            raise ValueError(f"density_activation: {self.density_activation!r}; one of {', '.join(ACTIVATIONS)}")
        if self.backend not in BACKENDS:
            raise ValueError(f"backend: {self.backend!r}; one of {', '.join(BACKENDS)}")
        if self.backend == "tinycudann" and not has_tinycudann():
            raise ValueError(
                "backend: tinycudann is not installed (it has no wheels: build it from "
                "github.com/NVlabs/tiny-cuda-nn, bindings/torch); or set auto"
            )


class HashGridField(RadianceField):
    """Density and features from a multiresolution hash grid and small networks, as in Instant NGP."""

    name: ClassVar[str] = "hash_grid"
    Config: ClassVar[type[Any]] = HashGridConfig

    def __init__(self, config: HashGridConfig) -> None:
        super().__init__(config)
        self.channels = config.channels
        self.box: Tensor
        corners = [[-float(config.box)] * 3, [float(config.box)] * 3]
        self.register_buffer("box", torch.tensor(corners, device="cpu"))
        self.spacing = 2 * config.box / config.detail
        growth = 1.0
        if config.levels > 1:
            growth = math.exp(math.log(config.finest_resolution / config.base_resolution) / (config.levels - 1))
        fused = config.backend != "torch" and has_tinycudann()
        self.encoding = HashEncoding(config.levels, config.base_resolution, growth, config.table_log2, fused)
        self.density_network = _network(self.encoding.width, config.hidden, 1)
        self.feature_network = _network(self.encoding.width, config.hidden, config.channels)

    def initialise(self, step: Step) -> None:
        generator = step.generator("field")
        self.encoding.table.copy_(START * (2 * torch.rand(self.encoding.table.shape, generator=generator) - 1))
        for network in (self.density_network, self.feature_network):
            for layer in network:
                if isinstance(layer, nn.Linear):
                    bound = math.sqrt(6 / layer.in_features)  # He's, uniform
                    layer.weight.copy_(bound * (2 * torch.rand(layer.weight.shape, generator=generator) - 1))

    def param_groups(self) -> list[dict[str, Any]]:
        networks = [*self.density_network.parameters(), *self.feature_network.parameters()]
        return [{"params": [self.encoding.table], "lr_scale": self.config.grid_lr}, {"params": networks}]

    def density(self, points: Tensor) -> Tensor:
        """activation(network + bias + blob) inside the box, 0 outside."""
        raw = self.density_network(self._encoded(points))[:, 0] + self.config.density_bias + self._blob(points)
        if self.config.density_activation == "exp":
            value = raw.clamp(max=LARGEST_EXPONENT).exp()
        else:
            value = functional.softplus(raw)
        inside: Tensor = (points.abs() <= self.config.box * (1 + 1e-6)).all(dim=-1)
        return value * inside

    def features(self, points: Tensor) -> Tensor:
        """RGB through a sigmoid, or the raw latent."""
        raw: Tensor = self.feature_network(self._encoded(points))
        return raw.sigmoid() if self.channels == 3 else raw

    def _encoded(self, points: Tensor) -> Tensor:
        encoded: Tensor = self.encoding(((points / self.config.box + 1) / 2).clamp(0, 1))
        return encoded

    def _blob(self, points: Tensor) -> Tensor:
        distance = torch.linalg.vector_norm(points, dim=-1)
        radii = distance / self.config.blob_radius
        return self.config.blob_scale * (1 - radii if self.config.blob == "cone" else (-0.5 * radii.square()).exp())


def has_tinycudann() -> bool:
    """Whether tiny-cuda-nn's PyTorch binding is installed; it is imported only on a CUDA device."""
    return importlib.util.find_spec("tinycudann") is not None


def _network(width: int, hidden: int, out: int) -> nn.Sequential:
    """Without biases, as tiny-cuda-nn's."""
    return nn.Sequential(nn.Linear(width, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, out, bias=False))
