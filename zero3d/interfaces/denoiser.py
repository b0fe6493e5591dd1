"""Denoiser: the frozen teacher D(x, sigma), conditioned on a picture and a relative camera."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.interfaces.component import Component
from zero3d.interfaces.representation import Representation
from zero3d.values import Cameras, Picture


class Denoiser(Component):
    """A view-conditioned diffusion model in sigma form. A foreign model is adapted once, here.

    Its image space is pixels (then `encode` and `decode` are the identity) or a latent. Cameras come in as Cameras;
    the denoiser derives its own pose vector, rays or maps.
    """

    kind: ClassVar[str] = "denoiser"
    channels: int
    """C of its image space: 3 for pixels, 4 for Stable Diffusion's latent. Known before the weights are loaded."""
    resolution: int
    """Its image space is (resolution, resolution, channels)."""
    picture_resolution: int
    """Side of the square RGB pictures that it is conditioned on, and that `decode` returns."""
    sigmas: Tensor
    """(T,) its noise levels, ascending, indexed by the timestep t, in units of its image space."""
    unit: float = 1.0
    """Its noise levels are `unit` times Stable Diffusion's: the scale of its data in a variance-preserving model's eyes."""
    centre: float = 0.0
    """The value of its image space that such a model takes for zero."""
    knows_elevation: bool = False
    """It is told the input's absolute elevation in place of the change of distance (Stable Zero123)."""

    dtype: torch.dtype = torch.float32
    """What its network computes in, once it is loaded: named in the manifest, and the laws allow for its rounding."""

    @abstractmethod
    def load(self, device: torch.device) -> None:
        """Load the weights onto `device`, frozen. Called once, after every check that needs no weights."""

    def weight_files(self) -> list[Path]:
        """The files that `load` reads, for the manifest's hashes."""
        return []

    def size(self, device: torch.device) -> tuple[int, int] | None:
        """Parameters and bytes that `load` will hold there, known without reading a weight; None if it cannot tell."""
        return None

    @abstractmethod
    def condition(self, picture: Picture, input_camera: Cameras) -> Any:
        """What the network needs to know of the picture, computed once a run. `picture` has `picture_resolution`."""

    def solid(self, condition: Any) -> Representation | None:
        """What it takes the pictured object for, in world axes, before any step; None (as here) if it makes no guess."""
        return None

    @abstractmethod
    def denoise(self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, guidance_scale: float) -> Tensor:
        """x0 = D(noised; sigma), (B, H, W, C), without a graph.

        Args:
            noised: (B, H, W, C), x0 + sigma * n in the denoiser's image space.
            sigma: (B,).
            cameras: the B cameras to draw from.
            guidance_scale: s in uncond + s * (cond - uncond); 1 is purely conditional.
        """

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """RGB (B, H, W, 3) in [0, 1] -> image space (B, h, w, C). Differentiable."""

    @abstractmethod
    def decode(self, latent: Tensor) -> Tensor:
        """Image space (B, h, w, C) -> RGB (B, H, W, 3), about [0, 1]. Differentiable."""

    @abstractmethod
    def background(self) -> Tensor:
        """White in the denoiser's image space: (C,) or (h, w, C)."""


@dataclass
class Teacher:
    """A denoiser together with what it was told of the picture."""

    denoiser: Denoiser
    condition: Any = None

    def denoise(self, noised: Tensor, sigma: Tensor, cameras: Cameras, guidance_scale: float) -> Tensor:
        """x0 (B, H, W, C); see Denoiser.denoise."""
        with torch.no_grad():
            return self.denoiser.denoise(noised, sigma, self.condition, cameras, guidance_scale)
