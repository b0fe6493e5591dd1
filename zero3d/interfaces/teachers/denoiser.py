"""Denoiser: the frozen teacher D(x, sigma), conditioned on pictures or words and a relative camera."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from zero3d.diffusion import guided
from zero3d.interfaces.component import Component
from zero3d.values import Cameras, ElevationEstimate, Picture, Subject

COND, NULL, NEGATIVE = "cond", "null", "negative"
"""Names of the predictions that guidances combine: with the condition, without it, with the negative prompt."""
PLAIN = "plain"
"""With the prompt as it was written, where "cond" adds to it from where a view looks."""
FRONT, SIDE = "front", "side"
"""With the prompt as it reads for views from there, whatever the view (Perp-Neg). Further ones: "back", "overhead"."""


class Denoiser(Component):
    """A view-conditioned diffusion model in sigma form. A foreign model is adapted once, here.

    Its image space is pixels (then `encode` and `decode` are the identity) or a latent. Cameras come in as Cameras;
    the denoiser derives its own pose vector, rays or maps. `load` reads the weights, frozen.
    """

    kind: ClassVar[str] = "denoiser"
    needs: frozenset[str] = frozenset({"picture"})
    """What `condition` reads of the subject: "picture", "prompt"."""
    branches: tuple[str, ...] = (COND, NULL)
    """The predictions that `predict` can make: "cond", "null", those named above that it has, and names of its own."""
    group: int = 1
    """How many views it denoises jointly, at one noise level: 1, or n views of one elevation, 360 / n degrees apart, or
    those of `views`."""
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
    """It is given the input's absolute elevation in place of the change of distance (Stable Zero123)."""
    overhead_deg: float = 60.0
    """Above this elevation, degrees, a view is from overhead: it has no negatives in Perp-Neg."""
    elevation_waits: str = ""
    """What a plan says in place of an elevation, if `elevation_of` needs a device; else empty."""
    tell: Callable[[str], None] = staticmethod(lambda line: None)
    """Takes a line for the user, before what takes long; set on the instance by whoever asks for it."""
    dtype: torch.dtype = torch.float32
    """What its network computes in, once it is loaded: named in the manifest, and the laws allow for its rounding."""

    def size(self, device: torch.device) -> tuple[int, int] | None:
        """As Component's; None, as here, if only its files can tell."""
        return None

    @classmethod
    def untrained(cls, config: Any, device: torch.device, tiny: bool = False) -> Denoiser:
        """Loaded with the weights that its modules begin with, of the published size or tiny, no file read: for benchmarks.

        Raises:
            NotImplementedError: it cannot be made so, as here.
        """
        raise NotImplementedError(f"denoiser {cls.name!r} has no untrained form")

    def views(self, subject: Subject) -> Cameras | None:
        """The `group` cameras that it always draws from, of `picture_resolution`; None, as here, if it draws from any.

        They stand by the first picture's (of an empty subject: azimuth and elevation 0), and are known before `load`.
        `predict` then takes groups of exactly these, in any order.
        """
        return None

    def elevation_of(self, picture: Picture, device: torch.device | None = None) -> ElevationEstimate | None:
        """How far down the camera of `picture` looks; None, as here, if it cannot tell.

        Asked before `load`. With a `device`, by what will draw in any case, it may load itself there and draw, and says so
        first (`tell`); without, by commands that only plan, it reads small weights alone, on the CPU. `picture` has
        `picture_resolution` and is framed as `fit`. The same picture gets the same answer, whatever the device.
        """
        return None

    @abstractmethod
    def condition(self, subject: Subject) -> Any:
        """What the network needs to know of the subject, computed once a run; pictures have `picture_resolution`."""

    @abstractmethod
    def predict(
        self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        """x0 of each branch asked for: name -> (B, H, W, C), without a graph. Another branch is not computed.

        Args:
            noised: (B, H, W, C), x0 + sigma * n in the denoiser's image space; B a multiple of `group`.
            sigma: (B,), one level for the views of a group.
            cameras: the B cameras to draw from.
            branches: of `self.branches`, each once.
        """

    @final
    def denoise(self, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, guidance_scale: float) -> Tensor:
        """Guided x0 = D(noised; sigma), (B, H, W, C): s in null + s * (cond - null); 1 is purely conditional."""
        asked = {0.0: (NULL,), 1.0: (COND,)}.get(float(guidance_scale), (NULL, COND))
        x0 = self.predict(noised, sigma, condition, cameras, asked)
        return guided(x0[NULL], x0[COND], guidance_scale) if len(asked) == 2 else x0[asked[0]]

    @abstractmethod
    def encode(self, image: Tensor) -> Tensor:
        """RGB (B, H, W, 3) in [0, 1] -> image space (B, h, w, C). Differentiable."""

    @abstractmethod
    def decode(self, latent: Tensor) -> Tensor:
        """Image space (B, h, w, C) -> RGB (B, H, W, 3), about [0, 1]. Differentiable."""

    @abstractmethod
    def background(self) -> Tensor:
        """White in the denoiser's image space: (C,) or (h, w, C)."""


class AdaptableDenoiser(Denoiser):
    """A denoiser that lays its network open to a guidance that trains adapters over it (`Guidance.adapts`).

    The guidance makes a copy that shares the frozen weights, adds what it trains to the copy (low-rank adapters, an
    embedding of the camera), and asks that by `predict_by`; the network itself is never changed, nor are the denoiser's
    own answers. Adapters and embedding fit a network whose modules have diffusers' names: `time_embedding`, whose output
    (B, width) is given to every block, and attention layers `attn1` and `attn2` with `to_q`, `to_k`, `to_v`, `to_out.0`.
    """

    network: nn.Module
    """The network that `predict` asks, frozen; there after `load`."""

    @abstractmethod
    def outline(self) -> nn.Module:
        """The network without its values, on the meta device: what a copy would hold. There before `load`."""

    @abstractmethod
    def predict_by(
        self, network: nn.Module, noised: Tensor, sigma: Tensor, condition: Any, cameras: Cameras, branch: str = COND
    ) -> Tensor:
        """x0 (B, H, W, C) of one branch as `predict` has it, asked of `network` in place of its own.

        With a graph to the parameters of `network` that require a gradient. Each call of `network` is on the B views.
        """


@dataclass
class Teacher:
    """A denoiser together with what it was conditioned on."""

    denoiser: Denoiser
    condition: Any = None
    subject: Subject = field(default_factory=Subject)

    def predict(self, noised: Tensor, sigma: Tensor, cameras: Cameras, branches: Sequence[str]) -> dict[str, Tensor]:
        """x0 (B, H, W, C) of each branch; see Denoiser.predict."""
        with torch.no_grad():
            return self.denoiser.predict(noised, sigma, self.condition, cameras, branches)

    def denoise(self, noised: Tensor, sigma: Tensor, cameras: Cameras, guidance_scale: float) -> Tensor:
        """Guided x0 (B, H, W, C); see Denoiser.denoise."""
        with torch.no_grad():
            return self.denoiser.denoise(noised, sigma, self.condition, cameras, guidance_scale)
