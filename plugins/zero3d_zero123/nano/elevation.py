"""How far down a picture's camera looks, guessed from what the embedded lift's first layers make of the picture.

The lift was trained with the pictures' elevations as an input, so that its features need not hold them; given 20 degrees
whatever is shown, they still do, for a small network on top.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from zero3d.errors import RunError
from zero3d.files import replacing
from zero3d.values import ElevationEstimate, Picture
from zero3d_zero123.nano import weights
from zero3d_zero123.nano.blocks import channels_last, picture, sinusoids
from zero3d_zero123.nano.lift import PICTURE, TOKEN_WIDTH, Lift
from zero3d_zero123.nano.unet import UNet

EMBEDDED = Path(__file__).parent / "weights" / "elevation.safetensors"
"""The head's weights, which ship with the package; tools/train_elevation.py made them."""
TRAINED_DEG = (-15.0, 65.0)
"""The elevations that it was shown, uniformly."""
MIDDLE_DEG, UNIT_DEG = 25.0, 25.0
ASSUMED_DEG = 20.0
"""The elevation that is given to the lift, whatever the picture's."""
BLOCKS = 4
"""Of the lift's attention blocks, those that are run."""
FEATURES = 2 * TOKEN_WIDTH * 16 + TOKEN_WIDTH


class ElevationHead(nn.Module):
    """The lift's features (B, FEATURES) -> mean and log of the standard deviation (B, 2), in units of UNIT_DEG."""

    shift: Tensor
    scale: Tensor
    spread: Tensor

    def __init__(self, width: int = 96) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        self.register_buffer("spread", torch.ones(()))  # what its standard deviations are to be multiplied by
        self.layers = nn.Sequential(
            nn.Dropout(0.3), nn.Linear(FEATURES, width), nn.SiLU(), nn.Dropout(0.3), nn.Linear(width, 2)
        )

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.layers((features - self.shift) * self.scale)
        return found

    @torch.no_grad()
    def degrees(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B,), degrees, each within what it was trained on."""
        mean, log_std = self(features).unbind(-1)
        std = UNIT_DEG * self.spread * log_std.clamp(-4, 1).exp()
        return (MIDDLE_DEG + UNIT_DEG * mean).clamp(*TRAINED_DEG), std.clamp(1, TRAINED_DEG[1] - TRAINED_DEG[0])


@torch.no_grad()
def features(lift: Lift, rgba: Tensor) -> Tensor:
    """RGBA (B, 4, 64, 64), colours on white -> (B, FEATURES): convolutions and picture tokens on 4x4, queries' mean."""
    e = lift.embed(sinusoids(torch.tensor([[math.radians(ASSUMED_DEG), 0.0]]).expand(len(rgba), 2), 8))
    x = lift.encode(rgba, e)[-1]
    seen, queries = lift.attend(x, e, BLOCKS)
    planes = functional.avg_pool2d(torch.cat([x, picture(seen, PICTURE // 8)], dim=1), 2)
    return torch.cat([planes.flatten(1), queries.mean(dim=1)], dim=1)


def estimate(shown: Picture, file: Path = EMBEDDED) -> ElevationEstimate:
    """Of a framed picture (`framing: fit`) of any size, and its mirror image, whose elevation is the same.

    On the CPU, so that every device says the same.

    Raises:
        RunError: the weights are missing or damaged.
    """
    planes = torch.cat([shown.rgb, shown.mask], dim=-1).permute(2, 0, 1)[None].float().cpu()
    if planes.shape[-1] != PICTURE:
        planes = functional.interpolate(planes, (PICTURE, PICTURE), mode="area")
    both = features(embedded_lift(), torch.cat([planes, planes.flip(-1)]))
    mean, std = read(file).degrees(both)
    return ElevationEstimate(float(mean.mean()), float(std.mean()))


@cache
def embedded_lift() -> Lift:
    """The lift that the head was trained on; a process that makes many runs reads it once.

    Raises:
        RunError: its weights are missing or damaged.
    """
    with torch.random.fork_rng(devices=[]):
        lift = channels_last(Lift())
        weights.read(weights.EMBEDDED, lift, UNet())
    return lift.eval().requires_grad_(False)


def read(file: Path = EMBEDDED) -> ElevationHead:
    """The head with a file's weights, ready to be asked.

    Raises:
        RunError: no such file, or not this head's.
    """
    with torch.random.fork_rng(devices=[]):
        head = ElevationHead()
    try:
        head.load_state_dict({name: value.float() for name, value in load_file(file).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{file}: missing or damaged ({reason}); install zero3d again") from None
    return head.eval().requires_grad_(False)


def write(file: Path, head: ElevationHead) -> None:
    """In half precision."""
    tensors = {name: value.half().contiguous() for name, value in head.state_dict().items()}
    with replacing(file) as temporary:
        save_file(tensors, temporary, {"model": "zero3d elevation", "license": "Apache-2.0"})
    file.chmod(0o644)
