"""How far down a picture's camera looks, guessed from what the embedded lift's first layers make of the picture.

The lift was trained with the pictures' elevations as an input, so that its features need not hold them; given 20 degrees
whatever is shown, they still do, for small networks on top. Each says how likely each elevation is; their mean is taken.
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
from zero3d_zero123.nano.blocks import channels_last, sinusoids
from zero3d_zero123.nano.lift import PICTURE, TOKEN_WIDTH, Lift
from zero3d_zero123.nano.unet import UNet

EMBEDDED = Path(__file__).parent / "weights" / "elevation.safetensors"
"""The heads' weights, which ship with the package; tools/train_elevation.py made them."""
TRAINED_DEG = (-15.0, 65.0)
"""The elevations that they were shown, uniformly."""
BINS_DEG = tuple(range(-15, 66, 2))
"""Elevations whose likelihoods they say."""
ASSUMED_DEG = 20.0
"""The elevation that is given to the lift, whatever the picture's."""
BLOCKS = 4
"""Of the lift's attention blocks, those that are run."""
CHANNELS, SIDE = 2 * TOKEN_WIDTH, PICTURE // 8
"""Of the features: the last convolution's and the picture tokens', on the grid of tokens."""
MEMBERS = 3
"""Heads that differ in their random numbers alone; together they err less."""


class ElevationHead(nn.Module):
    """Features (B, CHANNELS, SIDE, SIDE) -> logits of BINS_DEG (B, bins)."""

    shift: Tensor
    scale: Tensor

    def __init__(self, narrow: int = 64, wide: int = 96, width: int = 192) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(CHANNELS, 1, 1))
        self.register_buffer("scale", torch.ones(CHANNELS, 1, 1))
        self.layers = nn.Sequential(
            *(nn.Dropout(0.1), nn.Conv2d(CHANNELS, narrow, 1), nn.SiLU()),
            *(nn.Conv2d(narrow, wide, 3, stride=2, padding=1), nn.SiLU(), nn.Flatten()),
            *(nn.Dropout(0.3), nn.Linear(wide * SIDE**2 // 4, width), nn.SiLU()),
            *(nn.Dropout(0.3), nn.Linear(width, len(BINS_DEG))),
        )

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.layers((features - self.shift) * self.scale)
        return found


class ElevationHeads(nn.Module):
    """Several of them; `spread` is what the deviation of their distribution is multiplied by, to be right (validation)."""

    spread: Tensor

    def __init__(self, members: int = MEMBERS) -> None:
        super().__init__()
        self.register_buffer("spread", torch.ones(()))
        self.members = nn.ModuleList([ElevationHead() for _ in range(members)])

    @torch.no_grad()
    def likelihoods(self, features: Tensor) -> Tensor:
        """(B, bins), each row's sum 1."""
        return torch.stack([member(features).softmax(dim=-1) for member in self.members]).mean(dim=0)

    def degrees(self, likelihoods: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (B,), degrees, of likelihoods (B, bins)."""
        bins = torch.tensor(BINS_DEG, dtype=likelihoods.dtype)
        mean = likelihoods @ bins
        deviation = (likelihoods @ bins.square() - mean.square()).clamp(min=0).sqrt()
        return mean, (self.spread * deviation).clamp(1, TRAINED_DEG[1] - TRAINED_DEG[0])


@torch.no_grad()
def features(lift: Lift, rgba: Tensor) -> Tensor:
    """RGBA (B, 4, 64, 64), colours on white -> (B, CHANNELS, SIDE, SIDE)."""
    e = lift.embed(sinusoids(torch.tensor([[math.radians(ASSUMED_DEG), 0.0]]).expand(len(rgba), 2), 8))
    x = lift.encode(rgba, e)[-1]
    seen, _ = lift.attend(x, e, BLOCKS)
    return torch.cat([x, seen.transpose(1, 2).unflatten(-1, (SIDE, SIDE))], dim=1)


def ways_to_see(rgba: Tensor) -> Tensor:
    """Pictures (B, 4, H, H), colours on white -> (2 B, 4, PICTURE, PICTURE): them, and their mirror images.

    Their elevations are the same. (Seen 1.1 times as large besides, nothing is gained.)
    """
    if rgba.shape[-1] != PICTURE:
        rgba = functional.interpolate(rgba, (PICTURE, PICTURE), mode="area")
    return torch.cat([rgba, rgba.flip(-1)])


def estimate(shown: Picture, file: Path = EMBEDDED) -> ElevationEstimate:
    """Of a framed picture (`framing: fit`) of any size and its mirror image, whose likelihoods are averaged.

    On the CPU, so that every device says the same.

    Raises:
        RunError: the weights are missing or damaged.
    """
    rgba = torch.cat([shown.rgb, shown.mask], dim=-1).permute(2, 0, 1)[None].float().cpu()
    heads = read(file)
    mean, std = heads.degrees(heads.likelihoods(features(embedded_lift(), ways_to_see(rgba))).mean(dim=0, keepdim=True))
    return ElevationEstimate(float(mean), float(std))


@cache
def embedded_lift() -> Lift:
    """The lift that the heads were trained on; a process that makes many runs reads it once.

    Raises:
        RunError: its weights are missing or damaged.
    """
    with torch.random.fork_rng(devices=[]):
        lift = channels_last(Lift())
        weights.read(weights.EMBEDDED, lift, UNet())
    return lift.eval().requires_grad_(False)


def read(file: Path = EMBEDDED, members: int = MEMBERS) -> ElevationHeads:
    """The heads with a file's weights, ready to be asked.

    Raises:
        RunError: no such file, or not these heads'.
    """
    with torch.random.fork_rng(devices=[]):
        heads = ElevationHeads(members)
    try:
        heads.load_state_dict({name: value.float() for name, value in load_file(file).items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{file}: missing or damaged ({reason}); install zero3d again") from None
    return heads.eval().requires_grad_(False)


def write(file: Path, heads: nn.Module) -> None:
    """In half precision."""
    tensors = {name: value.half().contiguous() for name, value in heads.state_dict().items()}
    with replacing(file) as temporary:
        save_file(tensors, temporary, {"model": "zero3d elevation", "license": "Apache-2.0"})
    file.chmod(0o644)
