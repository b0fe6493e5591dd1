"""How a multiresolution hash grid is laid out: sizes of its levels as tiny-cuda-nn computes them.

Müller et al. 2022, arXiv 2201.05989, section 3; sizes and order of NVlabs/tiny-cuda-nn, encodings/grid.h, so that a
table trained with one serves the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy


@dataclass(frozen=True)
class Level:
    """`scale`: a place in [0, 1] lies at place * scale + 1/2 among `resolution` vertices a side. Its `size` entries begin
    at `start` of the table. `hashed`: there are more vertices than entries."""

    scale: float
    resolution: int
    start: int
    size: int
    hashed: bool


def make_levels(count: int, base: int, growth: float, log2_size: int) -> list[Level]:
    """`count` levels, the first of `base` vertices a side (about), each `growth` times finer, of 2^log2_size entries at
    most."""
    levels: list[Level] = []
    start = 0
    # single precision throughout, or a level may come out one vertex smaller than on the GPU
    step = numpy.log2(numpy.float32(growth))
    for number in range(count):
        scale = numpy.exp2(numpy.float32(number) * step) * numpy.float32(base) - numpy.float32(1)
        resolution = math.ceil(scale) + 1
        vertices = resolution**3
        size = min(-(-vertices // 8) * 8, 2**log2_size)
        levels.append(Level(float(scale), resolution, start, size, _hashed(resolution, size)))
        start += size
    return levels


def _hashed(resolution: int, size: int) -> bool:
    """Whether the vertices, counted axis by axis until the count exceeds the entries, do so."""
    stride = 1
    for _ in range(3):
        if stride > size:
            break
        stride *= resolution
    return size < stride
