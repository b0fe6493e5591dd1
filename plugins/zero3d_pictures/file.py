"""The picture in a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy

from zero3d import PictureError
from zero3d.errors import did_you_mean
from zero3d.interfaces import ImageSource, SourcePicture
from zero3d_pictures.fringe import fringe
from zero3d_pictures.grabcut import available, grabcut
from zero3d_pictures.mask_notes import inverted, mask_notes
from zero3d_pictures.masking import of_one_colour, plain_background
from zero3d_pictures.reading import Decoded, brightness_or_alpha, exists, plain_file, read

METHODS = ("alpha", "auto", "background", "grabcut")
REMEDY = "cut the object out (a PNG with alpha) or give input.mask=FILE, white on the object"


@dataclass
class FileConfig:
    """`path`: a PNG, JPEG, WebP, GIF, BMP, TIFF, AVIF or (extra `heic`) HEIC, 16 pixels a side to 64 megapixels."""

    path: str


class PictureFile(ImageSource):
    """A picture in a file; the mask is its alpha, a second file, a plain background or (with a warning) GrabCut."""

    name: ClassVar[str] = "file"
    reads_paths: ClassVar[bool] = True
    Config: ClassVar[type[Any]] = FileConfig
    extras: ClassVar[Mapping[str, str]] = {"grabcut": "cv2", "heic": "pi_heif"}

    def check(self) -> None:
        plain_file(self.config.path, "image")

    def read(self, mask: str | None) -> SourcePicture:
        """Read the picture and its mask.

        Args:
            mask: "auto" or None: alpha that hides anything, else a plain background, else GrabCut where OpenCV is
                installed, with a warning. "alpha", "background", "grabcut": that method alone. Else a file as large as
                the picture: its alpha if that hides anything, or white on the object. But for "alpha", which is taken as it
            is, an old background's colour is taken out of soft edges.

        Raises:
            PictureError: see ImageSource.read.
        """
        path, method = self.config.path, mask or "auto"
        if method not in METHODS and not exists(method):
            hint = did_you_mean(method, METHODS)
            raise PictureError(f"input.mask: {method[:200]!r} is neither a file nor a method.{hint}")
        decoded = read(path, "image")
        rgba, notes = decoded.rgba, list(decoded.notes)
        hides = rgba[..., 3].min() < 128
        if method not in METHODS:
            rgba[..., 3], told = self._mask_file(method, decoded)
            notes += told
        elif method == "alpha" and not decoded.has_alpha:
            raise PictureError(f"input.mask: alpha: {path} has no alpha channel; {REMEDY}, or leave input.mask out")
        elif method == "alpha" or (method == "auto" and hides):
            if rgba[..., 3].max() < 128:
                most = int(rgba[..., 3].max())
                state = f"nowhere more than half opaque (alpha {most} of 255)" if most else "fully transparent"
                raise PictureError(f"image: {path} is {state}; give another picture or input.mask=FILE")
        else:
            rgba[..., 3], note = self._find(rgba[..., :3], method)
            notes.append(note)
        brightest = int(rgba[..., 3].max())
        if brightest < 128:
            state = f"its brightest value is {brightest} of 255" if brightest else "all black"
            raise PictureError(f"input.mask: {method}: the mask is empty ({state}); it must be white on the object")
        cast = None if inverted(rgba[..., 3]) else fringe(rgba)  # the edges of an inverted mask are mixed the other way
        if cast is not None and method == "alpha":
            notes.append(
                f"half-transparent edges hold a background's colour, {cast}; without input.mask=alpha it is removed"
            )
        elif cast is not None:
            rgba = cast.removed(rgba)
            notes.append(f"half-transparent edges held a background's colour, {cast}: removed")
        return SourcePicture(rgba, (*notes, *mask_notes(rgba[..., 3])), str(path))

    def _mask_file(self, file: str, picture: Decoded) -> tuple[numpy.ndarray, list[str]]:
        """(H, W) uint8, and notes."""
        found = read(file, "input.mask")
        if found.size != picture.size:
            sizes = ["{}x{}".format(*size) for size in (found.size, picture.size)]
            raise PictureError(f"input.mask: {file} has {sizes[0]} pixels, the picture {sizes[1]}; make them equal")
        return brightness_or_alpha(found), [f"input.mask: {note}" for note in found.notes]

    def _find(self, rgb: numpy.ndarray, method: str) -> tuple[numpy.ndarray, str]:
        """A mask by `method` ("auto": background, then grabcut), and what to tell the user about it."""
        path = self.config.path
        if of_one_colour(rgb):
            raise PictureError(f"image: {path} shows no object: it is of one colour; give another, or input.mask=FILE")
        if method in ("auto", "background"):
            found = plain_background(rgb)
            if found is not None:
                return found.mask, found.note
            if method == "background":
                raise PictureError(f"input.mask: background: {path} has no plain background around an object; {REMEDY}")
        if method == "grabcut" or available():
            guessed = grabcut(rgb)
            if guessed is not None:
                return guessed, "WARNING: the mask was guessed by GrabCut; check picture.png, or give input.mask=FILE"
            raise PictureError(f"image: {path}: no object: neither a plain background nor GrabCut shows one; {REMEDY}")
        raise PictureError(
            f"image: {path} has no alpha and no plain background; {REMEDY}, or input.mask=grabcut "
            "after pip install 'zero3d[grabcut]'"
        )
