"""Drawn pictures as 8-bit ones, and many of them as a film."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy
import torch
from torch import Tensor

from zero3d.files import replacing


def to_uint8(image: Tensor) -> numpy.ndarray:
    """(..., C) in [0, 1] -> uint8."""
    return torch.round(255 * image.detach().cpu().clamp(0, 1)).to(torch.uint8).numpy()


def write_film(path: Path, frames: Iterable[numpy.ndarray], fps: int) -> None:
    """Write (H, W, 3) uint8 frames, all of one even size, as MP4 (H.264), whole or not at all.

    Raises:
        WriteError: the file cannot be written.
        ValueError: no frames.
    """
    import av

    # the index before the pictures, so that a browser shows the first while the rest is on its way
    options = {"movflags": "faststart"}
    with (
        replacing(path) as temporary,
        av.open(str(temporary), "w", format="mp4", container_options=options) as container,
    ):
        stream = None
        for frame in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options={"crf": "20"})
                stream.height, stream.width = frame.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        if stream is None:
            raise ValueError("frames: none; a film has at least one")
        container.mux(stream.encode())
