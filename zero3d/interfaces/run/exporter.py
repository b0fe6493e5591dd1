"""Exporter: from an optimised representation to a file that other programs open."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from zero3d.interfaces.component import Component
from zero3d.interfaces.scene.representation import Representation
from zero3d.values import Cameras, Picture, Subject, View


@dataclass(frozen=True)
class ExportSubject:
    """What an exporter works on.

    `draw(cameras)` renders the representation without a graph; `decode` turns such an image into RGB
    (B, H, W, 3); `resolution` is the side of the views the run was optimised with, `input_camera` where the picture
    was taken from; `decodes_pixelwise` tells whether a single feature vector is a colour (RGB) or not (a latent).
    `picture` is what the input camera saw, None where nobody knows; `tell` takes a line for the user, before what takes
    long. `framed_at(size)`: the subject with every picture framed anew at `size` pixels, out of all that the pictures hold.
    """

    representation: Representation
    draw: Callable[[Cameras], View]
    decode: Callable[[Tensor], Tensor]
    decodes_pixelwise: bool
    input_camera: Cameras
    resolution: int
    picture: Picture | None = None
    tell: Callable[[str], None] = lambda line: None
    framed_at: Callable[[int], Subject] | None = None


class Exporter(Component):
    """Writes one file (or a few that belong together)."""

    kind: ClassVar[str] = "exporter"
    accepts: ClassVar[type[Representation]]
    """The representations it can export."""

    @abstractmethod
    def filename(self, label: str) -> str:
        """The main file's name for the recipe's label ("mesh" -> "mesh.glb")."""

    @abstractmethod
    def export(self, subject: ExportSubject, path: Path) -> dict[str, Any]:
        """Write `path` (its folder exists) atomically and return a report to print and to keep (JSON values).

        Raises:
            ExportError: nothing can be made of the field; the line names the density range and the remedy.
        """
