"""The picture in a file."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy

from zero3d import PictureError
from zero3d.errors import did_you_mean
from zero3d.interfaces import ImageSource, SourcePicture
from zero3d_pictures.masking import grabcut, plain_background
from zero3d_pictures.reading import read, to_mask, to_rgba

METHODS = ("alpha", "auto", "background", "grabcut")


@dataclass
class FileConfig:
    """`path`: a PNG, JPEG, WebP or any picture Pillow reads."""

    path: str


class PictureFile(ImageSource):
    """A picture in a file; the mask is its alpha, a second file, a plain background or (with a warning) GrabCut."""

    name: ClassVar[str] = "file"
    Config: ClassVar[type[Any]] = FileConfig

    def load(self, mask: str | None) -> SourcePicture:
        path = self.config.path
        picture = read(path, "image")
        notes = ["the picture is animated: its first frame is used"] if getattr(picture, "n_frames", 1) > 1 else []
        rgba = to_rgba(picture)
        method = mask or "auto"
        if method not in METHODS:
            rgba[..., 3] = self._mask_file(method, rgba)
        elif method == "alpha" or (method == "auto" and rgba[..., 3].min() < 128):
            if rgba[..., 3].max() < 128:
                raise PictureError(f"image: {path} is fully transparent; give another picture or input.mask=FILE")
        else:
            rgba[..., 3], told = self._find(rgba[..., :3], method)
            notes.append(told)
        if rgba[..., 3].max() < 128:
            raise PictureError(f"image: {path}: the mask is empty; give another with input.mask=FILE")
        return SourcePicture(rgba, tuple(notes), str(path))

    def _mask_file(self, file: str, rgba: numpy.ndarray) -> numpy.ndarray:
        if not Path(file).exists():
            hint = did_you_mean(file, METHODS)
            raise PictureError(f"input.mask: {file!r} is neither a file nor a method.{hint}")
        found = to_mask(read(file, "input.mask"))
        if found.shape != rgba.shape[:2]:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (found.shape, rgba.shape)]
            raise PictureError(f"input.mask: {file} has {sizes[0]} pixels, the picture {sizes[1]}; make them equal")
        return found

    def _find(self, rgb: numpy.ndarray, method: str) -> tuple[numpy.ndarray, str]:
        if method in ("auto", "background"):
            found = plain_background(rgb)
            if found is not None:
                return found, f"no alpha: the object was told from the plain background ({(found > 0).mean():.0%} of it)"
        if method == "grabcut" or (method == "auto" and importlib.util.find_spec("cv2")):
            found = grabcut(rgb)
            if found is not None:
                return found, "WARNING: the mask was guessed by GrabCut; look at picture.png, or give input.mask=FILE"
        raise PictureError(
            f"image: {self.config.path} has no alpha and no plain background: cut the object out, "
            "give input.mask=FILE (white on the object), or install zero3d[grabcut] and set input.mask=grabcut"
        )
