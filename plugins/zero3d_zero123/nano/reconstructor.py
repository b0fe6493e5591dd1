"""nano's lift as a Reconstructor: the solid that it takes the pictured object for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch

from zero3d.interfaces import Reconstructor
from zero3d.values import Step, Subject
from zero3d_zero123.nano import weights
from zero3d_zero123.nano.blocks import channels_last
from zero3d_zero123.nano.lift import PICTURE, Lift, lifted_from
from zero3d_zero123.nano.solid import SolidField
from zero3d_zero123.nano.unet import UNet


@dataclass
class NanoLiftConfig:
    """Options of `nano_lift`. weights: nano (embedded), or a .safetensors file of nano's that `zero3d train` wrote."""

    weights: str = "nano"


class NanoLift(Reconstructor):
    """A solid of 32^3 cells from one picture, by the embedded nano's lift; a field of density and colour."""

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

    def weight_files(self) -> list[Path]:
        return [self._file]

    def size(self, device: torch.device) -> tuple[int, int]:
        with torch.device("meta"):
            count = sum(value.numel() for value in Lift().state_dict().values())
        return count, 4 * count

    def load(self, device: torch.device) -> None:
        lift = channels_last(Lift())
        weights.read(self._file, lift, UNet())
        self._lift = lift.to(device).eval().requires_grad_(False)

    def reconstruct(self, subject: Subject, step: Step) -> SolidField:
        if self._lift is None:
            raise RuntimeError("load() first")
        with torch.no_grad():
            return SolidField(lifted_from(self._lift, subject))
