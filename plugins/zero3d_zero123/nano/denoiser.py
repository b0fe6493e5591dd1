"""nano as a Denoiser: 64x64 pixels, a lift and a U-Net, weights in the package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zero3d.diffusion import broadcast
from zero3d.interfaces import COND, PixelDenoiser, TrainableDenoiser, TrainingBatch
from zero3d.values import Cameras, ElevationEstimate, Picture, Subject
from zero3d_zero123.nano import weights
from zero3d_zero123.nano.blocks import channels_last
from zero3d_zero123.nano.draw import draw_views
from zero3d_zero123.nano.elevation import estimate
from zero3d_zero123.nano.lift import PICTURE, Lift, Lifted, lifted_from
from zero3d_zero123.nano.losses import denoiser_loss, lift_loss
from zero3d_zero123.nano.unet import UNet
from zero3d_zero123.pose import relative_pose

TEMPERATURE = 0.25
"""How far pictures stray from the lift's drawing, as a share of how far they did in training. See `Zero123Config`."""


@dataclass
class NanoCondition:
    """What one picture says: the lifted solid (one), and the last cameras it was drawn from with their drawings."""

    lifted: Lifted
    last: tuple[Cameras, Tensor] | None = None

    def drawn(self, cameras: Cameras) -> Tensor:
        """The solid from the B cameras, (B, 5, 64, 64); a sampler's many steps from one camera draw it once."""
        if self.last is None or not self.last[0].same_as(cameras):
            self.last = (cameras, draw_views(self.lifted, cameras.resized(PICTURE, PICTURE)))
        return self.last[1]


class NanoDenoiser(PixelDenoiser, TrainableDenoiser):
    """The embedded Zero-1-to-3 for 64x64 pictures: lifts the picture to a solid, draws it, and denoises with that."""

    name: ClassVar[str] = "nano"
    stages: ClassVar[tuple[str, ...]] = ("lift", "denoiser")
    resolution = PICTURE
    picture_resolution = PICTURE

    def __init__(self, config: Any = None, file: Path | None = None) -> None:
        super().__init__(config)
        self.temperature: float = TEMPERATURE if config is None else config.temperature
        if config is not None and config.dtype != "auto":
            self.dtype = getattr(torch, config.dtype)
        self._file = file or weights.EMBEDDED
        self._starts_from_file = file is not None
        self._lift: Lift | None = None
        self._unet: UNet | None = None

    def load(self, device: torch.device) -> None:
        lift, unet = self._networks()
        weights.read(self._file, lift, unet)
        for network in (lift, unet):
            network.to(device).eval().requires_grad_(False)

    def weight_files(self) -> list[Path]:
        return [self._file]

    def size(self, device: torch.device) -> tuple[int, int]:
        count = weights.LIFT_NUMBERS + weights.UNET_NUMBERS
        return count, 4 * count

    def elevation_of(self, picture: Picture, device: torch.device | None = None) -> ElevationEstimate:
        return estimate(picture)

    def condition(self, subject: Subject) -> NanoCondition:
        lift, _ = self._networks()
        with torch.no_grad():
            return NanoCondition(lifted_from(lift, subject))

    def predict(
        self, noised: Tensor, sigma: Tensor, condition: NanoCondition, cameras: Cameras, branches: Sequence[str]
    ) -> dict[str, Tensor]:
        cameras = cameras.to(noised.device)
        views = len(cameras)
        pose = relative_pose(cameras, condition.lifted.cameras)
        context = condition.lifted.tokens.expand(views, -1, -1)
        planes, sigma = noised.permute(0, 3, 1, 2), sigma.to(noised)
        with torch.no_grad():
            drawn = condition.drawn(cameras)
            x0 = {b: self._ask(planes, sigma, drawn, pose, context, float(b == COND)) for b in branches}
        return {branch: answer.permute(0, 2, 3, 1) for branch, answer in x0.items()}

    def drawing(self, condition: NanoCondition, cameras: Cameras) -> Tensor:
        """The lifted solid as it is, without the U-Net: RGB on white, (B, H, W, 3). For evaluation."""
        return condition.drawn(cameras)[:, :3].permute(0, 2, 3, 1)

    def trainable(self, stage: str) -> nn.Module:
        """With new weights, or a file's where one is named; `nano` stands for new ones here."""
        fresh = self._lift is None
        lift, unet = self._networks()
        if fresh and self._starts_from_file:
            weights.read(self._file, lift, unet)
        return {"lift": lift, "denoiser": unet}[stage].requires_grad_(True)

    def training_loss(
        self, batch: TrainingBatch, stage: str, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        lift, unet = self._networks()
        if stage == "lift":
            return lift_loss(lift, batch, generator)
        return denoiser_loss(lift.requires_grad_(False), unet, self.sigmas, batch, generator)

    def save(self, path: str) -> None:
        weights.write(Path(path), *self._networks())

    def _networks(self) -> tuple[Lift, UNet]:
        if self._lift is None or self._unet is None:
            self._lift = channels_last(Lift())
            self._unet = channels_last(UNet())
        return self._lift, self._unet

    def _ask(self, planes: Tensor, sigma: Tensor, drawn: Tensor, pose: Tensor, context: Tensor, keep: float) -> Tensor:
        """x0 of one branch, at this denoiser's temperature.

        Were every picture drawn towards `base` by the factor T, the noised picture y = base + T (x0 - base) + sigma n
        would be base + T (x0 - base + (sigma / T) n): the network's own question at the level sigma / T.
        """
        if self._unet is None:
            raise RuntimeError("load() first")
        base = 1 + keep * (drawn[:, :3] - 1)
        level = (sigma / self.temperature).clamp(max=float(self.sigmas[-1]))
        widened = base + broadcast(level / sigma, planes) * (planes - base)
        with torch.autocast(planes.device.type, self.dtype, enabled=self.dtype != torch.float32):
            found: Tensor = self._unet(widened, level, drawn, pose, context, torch.full_like(sigma, keep))
        return base + self.temperature * (found - base)
