"""What a renderer of data sets is: one object's orders in, its pictures out.

Everything is in the axes of the published data: those that Blender gives an imported glTF file, z up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy

from zero3d.values import Cameras


class MeshError(Exception):
    """This object cannot be drawn; `str(error)` is one line. The others are not concerned."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split())[:300])


@dataclass(frozen=True)
class AreaLight:
    """The published data's one random light: 100 x 100 units, shining down.

    `energy` in Blender's watts, `location` (3,) in world units.
    """

    energy: float
    location: tuple[float, float, float]


@dataclass(frozen=True)
class Order:
    """Draw the mesh in file `mesh`, normalised to longest side 1 about the origin, from each of `cameras` (square).

    y_up: which axis is up in formats that do not say (OBJ, PLY, STL); else z is.
    """

    mesh: Path
    cameras: Cameras
    light: AreaLight
    y_up: bool = True


class ObjectRenderer(ABC):
    """Draws objects one after the other; lives in one worker process.

    `notes`: what of the last object's file was not drawn, a line each.
    """

    notes: tuple[str, ...] = ()

    @abstractmethod
    def draw(self, order: Order) -> Iterator[numpy.ndarray]:
        """The pictures (H, W, 4) uint8, sRGB with straight alpha, one a camera.

        Raises:
            MeshError: the file cannot be read or holds nothing to draw.
        """

    def close(self) -> None:  # noqa: B027 (most hold nothing)
        """Let go of what it holds; nothing by default."""
