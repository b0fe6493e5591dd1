"""One view of an object as the published data keeps it: an RGBA picture and a world-to-camera matrix."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from zero3d import UserError
from zero3d.pose_files import read_pose

MATTES = ("over", "published")


class DamagedView(Exception):
    """A picture or pose that cannot be used; says why."""


@dataclass(frozen=True)
class Decoder:
    """size: pixels of a side. matte: over or published; see `picture`."""

    size: int
    matte: str

    def view(self, png: bytes, npy: bytes) -> tuple[Tensor, Tensor]:
        """Picture (size, size, 4) in [0, 1] and camera-to-world (4, 4).

        Raises:
            DamagedView: either cannot be read.
        """
        return self.picture(png), pose(npy)

    def picture(self, png: bytes) -> Tensor:
        """(size, size, 4) in [0, 1], straight alpha; Pillow's bilinear filter, which averages when it makes smaller.

        With `over`, colours are weighted by alpha, so that compositing afterwards gives what compositing before would.
        `published` is the original loader's: pixels of no alpha at all become white, others keep their colour at full
        strength (which leaves dark fringes), and alpha is dropped: it is 1 everywhere.

        Raises:
            DamagedView: no picture.
        """
        from PIL import Image

        try:
            image = Image.open(io.BytesIO(png)).convert("RGBA")
        except Exception as error:  # Pillow's decoders raise a dozen types for what is damaged
            raise DamagedView(f"no readable picture ({error})") from None
        if self.matte == "published":
            pixels = numpy.array(image)
            pixels[pixels[..., 3] == 0] = 255
            pixels[..., 3] = 255
            image = Image.fromarray(pixels, "RGBA")
        if image.size != (self.size, self.size):
            image = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return torch.from_numpy(numpy.array(image)).float() / 255


def pose(npy: bytes) -> Tensor:
    """Camera-to-world (4, 4) of a saved world-to-camera matrix (3, 4), OpenGL axes.

    Raises:
        DamagedView: no such matrix, or none of a rotation and a place.
    """
    try:
        return read_pose(npy, "its pose", ((3, 4), (4, 4))).float()
    except UserError as error:
        raise DamagedView(str(error)) from None
