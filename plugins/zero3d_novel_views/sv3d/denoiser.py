"""SV3D_p (arXiv 2403.12008) as a Denoiser: an orbit of 21 frames."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from zero3d.diffusion import to_variance_preserving, x0_from_v
from zero3d.interfaces import COND, Denoiser
from zero3d.values import Cameras, Subject
from zero3d.weights import Conversion, Published, planes
from zero3d_novel_views.known import SV3D
from zero3d_novel_views.shared import frozen, group_levels, numbers, places, precision, ring
from zero3d_novel_views.sv3d.conditioning import camera_vector, edm_sigmas
from zero3d_novel_views.sv3d.options import Sv3dConfig
from zero3d_novel_views.sv3d.pixels import clip_pixels
from zero3d_novel_views.sv3d.source import FRAMES, Source, open_source

LOWEST, HIGHEST = 0.002, 700.0
LEVELS = 20 * 49 + 1
"""In its list, so that the published 50 are every twentieth."""


@dataclass(frozen=True)
class OrbitCondition:
    """`token` (1, 1, C); `latent` (1, 4, h, w), the picture's, unscaled; `vector` (21, 1280); `views`: the orbit."""

    token: Tensor
    latent: Tensor
    vector: Tensor
    views: Cameras


class Sv3d(Denoiser):
    """An orbit of 21 frames around what a picture shows, the last from the picture's azimuth (SV3D_p, arXiv 2403.12008).

    Its levels are continuous; those in `sigmas` are EDM's (arXiv 2206.00364, eq. 5, rho 7), 0.002 to 700. The noise of
    1e-5 on the picture, which the network is told of, is left out. The null branch has zeros for token and latent, and the
    cameras.
    """

    name: ClassVar[str] = "sv3d"
    Config: ClassVar[type[Any]] = Sv3dConfig
    published: ClassVar[Sequence[Published]] = SV3D
    family: ClassVar[str] = "SV3D_p"
    needs = frozenset({"picture"})
    group = FRAMES

    def __init__(self, config: Sv3dConfig, source: Source | None = None) -> None:
        """Reads tables of contents only. `source`: in place of what config.weights names.

        Raises:
            RecipeError: the weights are not there, damaged, or another model's.
        """
        super().__init__(config)
        self._source = source or open_source(config.weights, self.published, config.config)
        self._source.check()
        vae = self._source.configs["vae"]
        self.channels = int(vae["latent_channels"])
        self.picture_resolution = config.size
        self.resolution = config.size // 2 ** (len(vae["block_out_channels"]) - 1)
        self._scale = float(vae["scaling_factor"])
        self.sigmas = edm_sigmas(LEVELS, LOWEST, HIGHEST).flip(0).float()

    @classmethod
    def untrained(cls, config: Any, device: torch.device, tiny: bool = False) -> Sv3d:
        from zero3d_novel_views.sv3d.untrained import TINY_SIZE, Untrained

        made = cls(replace(config, size=TINY_SIZE) if tiny else config, Untrained(tiny))
        made.load(device)
        return made

    @classmethod
    def inspect_weights(cls, path: Path, config: str = "") -> Iterable[str] | None:
        from zero3d_novel_views.sv3d.report import report_sv3d

        return report_sv3d(path, config)

    @classmethod
    def recognize_weights(cls, path: Path) -> str:
        from zero3d_novel_views.sv3d.report import is_sv3d

        return cls.family if is_sv3d(path) else ""

    @classmethod
    def convert_weights(cls, asked: Conversion) -> bool:
        from zero3d_novel_views.sv3d.export import convert
        from zero3d_novel_views.sv3d.report import is_sv3d_file

        if not is_sv3d_file(asked.path):
            return False
        convert(asked, cls.published)
        return True

    def weight_files(self) -> list[Path]:
        return self._source.weight_files

    def size(self, device: torch.device) -> tuple[int, int]:
        """Of U-Net and autoencoder, by their configurations; what encodes the subject is freed again."""
        unet, vae = (numbers(self._source.sketch(part)) for part in ("unet", "vae"))
        return unet + vae, unet * precision(self.config, device).itemsize + 4 * vae

    def views(self, subject: Subject) -> Cameras:
        turned = [-angle if self.config.clockwise else angle for angle in _azimuths()]
        elevation = [self._elevation(subject)] * FRAMES
        config = self.config
        return ring(subject, turned, elevation, config.size, config.fov_deg, config.distance)

    def _elevation(self, subject: Subject) -> float:
        """Of the orbit, degrees."""
        if self.config.elevation_deg is not None:
            return float(self.config.elevation_deg)
        return math.degrees(float(subject.pictures[0].camera.elevation[0])) if subject.pictures else 0.0

    def load(self, device: torch.device) -> None:
        """Load U-Net and autoencoder, frozen; the vision tower is loaded by `condition`, and freed."""
        self._device, self.dtype = device, precision(self.config, device)
        self._network: Any = frozen(self._source.build("unet", self.dtype), device)
        self._vae: Any = frozen(self._source.build("vae"), device)

    @torch.no_grad()
    def condition(self, subject: Subject) -> OrbitCondition:
        """The first picture, over white, as a token and as a latent; and each frame's polar angle and azimuth."""
        picture = planes(subject.pictures[0].picture.rgb[None])
        encoder = frozen(self._source.build("image_encoder"), self._device)
        token = encoder(pixel_values=clip_pixels(picture, encoder.config.image_size)).image_embeds[:, None]
        latent = self._vae.encode(2 * picture - 1).latent_dist.mode()
        polar = torch.full((FRAMES,), math.radians(90 - self._elevation(subject)))
        vector = camera_vector(polar, torch.deg2rad(torch.tensor(_azimuths())))
        return OrbitCondition(token, latent, vector.to(latent), self.views(subject))

    @torch.no_grad()
    def predict(
        self, noised: Tensor, sigma: Tensor, condition: OrbitCondition, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        """As Denoiser's; one branch after the other.

        Raises:
            ValueError: views that are not its own orbit, or a group at several noise levels.
        """
        at = places(cameras, condition.views, self.name).to(noised.device)
        levels = group_levels(sigma[at.argsort()], self.group, self.name).repeat_interleave(self.group)
        y = planes(noised[at.argsort()])
        z = to_variance_preserving(y, levels)
        made = {branch: x0_from_v(y, self.predict_f(z, levels, condition, branch), levels) for branch in branches}
        return {branch: x0.permute(0, 2, 3, 1)[at] for branch, x0 in made.items()}

    def predict_f(self, latent: Tensor, sigma: Tensor, condition: OrbitCondition, branch: str) -> Tensor:
        """F (B, 4, h, w) of one branch, of y / sqrt(1 + sigma^2) in the orbit's order at levels `sigma` (B,)."""
        frames, seen = len(latent), float(branch == COND)
        behind = seen * condition.latent.to(latent).expand(frames, -1, -1, -1)
        context = seen * condition.token.to(latent).expand(frames, -1, -1)
        vector = condition.vector.to(latent).repeat(frames // self.group, 1)
        out: Tensor = self._network(torch.cat([latent, behind], dim=1), sigma.log() / 4, context, vector)
        return out

    def encode(self, image: Tensor) -> Tensor:
        """As Denoiser's: each picture alone, to the mode."""
        rows = [self._vae.encode(2 * planes(row) - 1).latent_dist.mode() for row in image[:, None]]
        return self._scale * torch.cat(rows).permute(0, 2, 3, 1)

    def decode(self, latent: Tensor) -> Tensor:
        """As Denoiser's. Frames of an orbit are decoded together, so many at once as its options say; others each alone."""
        whole = len(latent) % self.group == 0
        rows = []
        for clip in (planes(latent) / self._scale).split(self.group if whole else 1):
            rows += [
                self._vae.decode(part, num_frames=len(part)).sample for part in clip.split(self.config.decode_frames)
            ]
        return (torch.cat(rows).permute(0, 2, 3, 1) + 1) / 2

    @torch.no_grad()
    def background(self) -> Tensor:
        side = self.picture_resolution
        return self.encode(torch.ones(1, side, side, 3, device=self._device))[0]


def _azimuths() -> list[float]:
    """Degrees from the picture's, frame by frame; the last is the picture's own."""
    return [360.0 * frame / FRAMES % 360.0 for frame in range(1, FRAMES + 1)]
