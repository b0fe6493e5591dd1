"""The published models, their sizes and where they are."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from zero3d.weights import Published, hub
from zero3d_point_e.network.distance import DistanceNetwork, DistanceSize
from zero3d_point_e.network.points import NOTHING, VECTOR, PointNetwork, Size

FOLDER = "https://openaipublic.azureedge.net/main/point-e"
LICENCE = "MIT, by its repository; its model card advises against commercial use"
UPSAMPLER, DISTANCE = "upsample", "sdf"
SIZES: Mapping[str, Size | DistanceSize] = {
    "base40M-imagevec": Size(512, 12, 8, condition=VECTOR, features=768),
    "base40M-textvec": Size(512, 12, 8, condition=VECTOR, features=768),
    "base40M-uncond": Size(512, 12, 8, condition=NOTHING),
    "base40M": Size(512, 12, 8),
    "base300M": Size(1024, 24, 16),
    "base1B": Size(2048, 24, 32),
    UPSAMPLER: Size(512, 12, 8, 3072, low=1024),
    DISTANCE: DistanceSize(),
}
FILES: Mapping[str, str] = {
    "base40M-imagevec": "base_40m_imagevec.pt",
    "base40M-textvec": "base_40m_textvec.pt",
    "base40M-uncond": "base_40m_uncond.pt",
    "base40M": "base_40m.pt",
    "base300M": "base_300m.pt",
    "base1B": "base_1b.pt",
    UPSAMPLER: "upsample_40m.pt",
    DISTANCE: "sdf.pt",
}
PARAMETERS = {
    "base40M-imagevec": 40_333_836,
    "base40M-textvec": 40_333_836,
    "base40M-uncond": 39_940_108,
    "base40M": 40_466_956,
    "base300M": 311_778_316,
    "base1B": 1_244_311_564,
    UPSAMPLER: 40_470_552,
    DISTANCE: 9_481_985,
}
NOTES = {
    "base40M-imagevec": "a picture's CLIP embedding alone",
    "base40M-textvec": "words; the same shapes as base40M-imagevec",
    "base40M-uncond": "of nothing in particular; point_e does not take it",
    "base40M": "a picture",
    "base300M": "a picture",
    "base1B": "a picture; the authors' best",
    UPSAMPLER: "1024 points to 4096; every model needs it",
    DISTANCE: "points to a mesh",
}
BASES = tuple(name for name in SIZES if name.startswith("base") and name != "base40M-uncond")
"""Those that make a cloud of what they are shown or told."""
TEXT = "base40M-textvec"
CLIP = "openai/clip-vit-large-patch14"
KNOWN = (
    *(
        Published(file, f"{FOLDER}/{file}", LICENCE, 4 * PARAMETERS[name] / 1e9, note=f"{name}: {NOTES[name]}")
        for name, file in FILES.items()
    ),
    hub(CLIP, "MIT by OpenAI's repository", 1.7, "CLIP ViT-L/14, which all were trained with", part="clip"),
)
"""Sizes are of float32; the files themselves were not looked at."""


def sketch(size: Size | DistanceSize) -> nn.Module:
    """The network on the meta device: names and shapes, no memory."""
    with torch.device("meta"):
        return PointNetwork(size) if isinstance(size, Size) else DistanceNetwork(size)
