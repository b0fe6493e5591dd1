"""nano's lift as a Reconstructor: the solid that it takes the pictured object for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from zero3d.interfaces import Reconstructor
from zero3d.values import ElevationEstimate, Picture, Step, Subject
from zero3d_zero123.nano import weights
from zero3d_zero123.nano.blocks import channels_last
from zero3d_zero123.nano.elevation import estimate
from zero3d_zero123.nano.finer import FINEST_PICTURE, finer
from zero3d_zero123.nano.lift import GRID, PICTURE, Lift, lifted_from
from zero3d_zero123.nano.solid import SolidField
from zero3d_zero123.nano.unet import UNet

FINEST = 256
"""Cells along a side of the solid at most."""


@dataclass
class NanoLiftConfig:
    """Options of `nano_lift`.

    weights: nano (embedded), or a .safetensors file of nano's that `zero3d train` wrote. resolution: cells along a side of
    the solid, 32 to 256. At 32, the network's own, it is as lifted. Finer, it is the mean of five framings half a pixel
    apart, made round if it is nearly a solid of revolution, with its surface where its silhouette meets the picture's
    mask. sharpness: how much steeper logits then run through that surface, 0.1 to 100; a sharp one stays where it is when
    it is drawn and cut, but from 1.5 on its cells show as ripples. At 32 it is not read.
    """

    weights: str = "nano"
    resolution: int = 64
    sharpness: float = 1.0

    def __post_init__(self) -> None:
        if not GRID <= self.resolution <= FINEST:
            raise ValueError(f"resolution: {self.resolution}; {GRID} (the network's own) to {FINEST} cells")
        if not 0.1 <= self.sharpness <= 100:
            raise ValueError(f"sharpness: {self.sharpness}; 0.1 to 100")


class NanoLift(Reconstructor):
    """A solid of 32^3 cells or more from one picture, by the embedded nano's lift; a field of density and colour."""

    name: ClassVar[str] = "nano_lift"
    Config: ClassVar[type[Any]] = NanoLiftConfig
    picture_resolution = PICTURE
    recipe: ClassVar[Mapping[str, Any]] = {
        "cameras": {"type": "sphere", "resolution": 64},
        "representation": {"type": "voxels", "resolution": 64, "box": 0.75, "density_shift": -4, "density_gain": 10},
        "renderer": {"type": "fused"},
        "observers": {"turntable": {}},
        "export": {"mesh": {"type": "marching_cubes", "resolution": 128}},
    }

    def __init__(self, config: NanoLiftConfig) -> None:
        """Raises: RunError, the file is missing or not nano's."""
        super().__init__(config)
        self._file = weights.EMBEDDED if config.weights == "nano" else Path(config.weights)
        if config.weights != "nano":
            weights.check(self._file)
        self._lift: Lift | None = None
        self.picture_resolution = PICTURE if config.resolution == GRID else FINEST_PICTURE

    def weight_files(self) -> list[Path]:
        return [self._file]

    def size(self, device: torch.device) -> tuple[int, int]:
        return weights.LIFT_NUMBERS, 4 * weights.LIFT_NUMBERS

    def load(self, device: torch.device) -> None:
        lift = channels_last(Lift())
        weights.read(self._file, lift, UNet())
        self._lift = lift.to(device).eval().requires_grad_(False)

    def elevation_of(self, picture: Picture, device: torch.device | None = None) -> ElevationEstimate:
        return estimate(picture)

    def reconstruct(self, subject: Subject, step: Step) -> SolidField:
        if self._lift is None:
            raise RuntimeError("load() first")
        with torch.no_grad():
            if self.config.resolution == GRID:
                return SolidField(lifted_from(self._lift, subject))
            return SolidField(finer(self._lift, subject, self.config.resolution, self.config.sharpness))
