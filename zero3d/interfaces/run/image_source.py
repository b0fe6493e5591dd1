"""ImageSource: where the input picture comes from."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy

from zero3d.interfaces.component import Component


@dataclass(frozen=True)
class SourcePicture:
    """`rgba` (H, W, 4) uint8, straight alpha, mask in alpha; `notes` for the user; `origin`: what it was.

    `masked`: False where nobody has looked for the object yet; the source of picture files then does.
    """

    rgba: numpy.ndarray
    notes: tuple[str, ...]
    origin: str
    masked: bool = True


class ImageSource(Component):
    """Delivers the picture with the object's mask."""

    kind: ClassVar[str] = "image_source"
    reads_paths: ClassVar[bool] = False
    """It is what a recipe means by a plain path, `image: cat.png`; its Config has `path`. One of those installed."""

    def check(self) -> None:
        """Raises PictureError: what can be told of the picture without reading or making it; nothing, as here."""

    @abstractmethod
    def read(self, mask: str | None) -> SourcePicture:
        """Read the picture, or make it: called once a run, after the recipe's parts were checked. A resumed run keeps it.

        Args:
            mask: the recipe's `input.mask`: None to find it ("alpha", else a plain background), a file's path, or the
                name of a method that the source knows.

        Raises:
            PictureError: missing, unreadable, too large or too small, nothing opaque, or no mask can be found; the
                line names the file and the option `input.mask`.
        """
