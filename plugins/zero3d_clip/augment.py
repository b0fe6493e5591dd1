"""What Dream Fields does to a view before CLIP sees it: random crops, random backgrounds (arXiv 2112.01455, section 4).

Constants are those of the authors' code (google-research/dreamfields, augment.py and optvis.py); pictures (H, W, 3).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from zero3d.values import Step

KERNEL = 15
"""Pixels across the blur's kernel."""
SQUARES = 8
"""Along a side of the checkerboard."""
SPECTRUM_STD, SPECTRUM_DECAY = 0.2, 1.5
"""Of the Fourier texture's coefficients: their deviation, and the power of frequency they fall with."""
COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.00, -0.05), (0.27, -0.09, 0.03))
"""Square root of ImageNet's colour correlations (Lucid): independent numbers @ its transpose are natural colours."""


def noise(size: int, generator: torch.Generator) -> Tensor:
    """Each channel of each pixel uniform in [0, 1]."""
    return torch.rand(size, size, 3, generator=generator)


def checkerboard(size: int, generator: torch.Generator) -> Tensor:
    """8 x 8 squares of two colours, each uniform in [0, 1]."""
    colours = torch.rand(2, 3, generator=generator)
    line = torch.arange(size) * SQUARES // size
    return colours[(line[:, None] + line[None]) % 2]


def texture(size: int, generator: torch.Generator) -> Tensor:
    """A random spectrum that falls with frequency^1.5, in natural colours, through a sigmoid: in (0, 1)."""
    rows, columns = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
    frequency = (rows.square() + columns.square()).sqrt()
    scale = size / frequency.clamp(min=1 / size) ** SPECTRUM_DECAY
    parts = SPECTRUM_STD * torch.randn(2, 3, *frequency.shape, generator=generator)
    plane = torch.fft.irfft2(torch.complex(parts[0], parts[1]) * scale, s=(size, size)) / 4
    correlation = torch.tensor(COLOURS)
    correlation = correlation / correlation.norm(dim=0).max()
    return torch.sigmoid(plane.permute(1, 2, 0) @ correlation.T)


BACKGROUNDS = {"noise": noise, "checkerboard": checkerboard, "texture": texture}


def blurred(picture: Tensor, deviation: float) -> Tensor:
    """Gaussian blur of `deviation` pixels with a kernel of 15; beyond the frame is black, so that edges darken, as there."""
    if deviation < 1e-3:
        return picture
    x = torch.arange(KERNEL, dtype=torch.float32) - KERNEL // 2
    kernel = torch.exp(-x.square() / (2 * deviation**2))
    kernel = kernel / kernel.sum()
    planes = picture.permute(2, 0, 1)[:, None]
    for shape in ((1, 1, KERNEL, 1), (1, 1, 1, KERNEL)):
        planes = functional.conv2d(planes, kernel.reshape(shape), padding="same")
    return planes[:, 0].permute(1, 2, 0)


def crops(planes: Tensor, share: float, count: int, size: int, step: Step) -> Tensor:
    """`count` random squares (count, h, w, C) of a view (H, W, C), `share` of its side, resized bilinearly to `size`.

    The last possible place is never drawn, as in the authors' code.
    """
    side = max(1, round(share * min(planes.shape[:2])))
    room = [max(1, length - side) for length in planes.shape[:2]]
    places = torch.zeros(count, 2, dtype=torch.int64)
    if max(room) > 1:
        places = (torch.rand(count, 2, generator=step.generator("crop")) * torch.tensor(room)).long()
    cut = torch.stack([planes[y : y + side, x : x + side] for y, x in places.tolist()]).permute(0, 3, 1, 2)
    if side != size:
        cut = functional.interpolate(cut, (size, size), mode="bilinear", align_corners=False)
    return cut.permute(0, 2, 3, 1)
