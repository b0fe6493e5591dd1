"""`images` as a folder of posed pictures: a transforms.json becomes a map of pictures, each with its camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError, UserError
from zero3d.recipe.schema import typed

MOST = 1000


@dataclass
class PosedFiles:
    """`images: {transforms: FILE}`, or a folder with transforms.json.

    every: takes every so many-th picture. scale: of the file's world units to zero3d's, in which the object's longest side
    is about 1. centre: of the object, x y z in the file's units.
    """

    transforms: str
    every: int = 1
    scale: float = 1.0
    centre: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])

    def __post_init__(self) -> None:
        if not 1 <= self.every <= MOST:
            raise ValueError(f"every: {self.every}; 1 to {MOST}")
        if not 1e-6 <= self.scale <= 1e6:
            raise ValueError(f"scale: {self.scale}; above 0, at most 1e6")
        if len(self.centre) != 3:
            raise ValueError(f"centre: {self.centre}; three numbers, x y z")


def expanded(images: Any, place: str) -> Any:
    """A path, or a map with the key `transforms`, as the map of pictures that it stands for; other values as they are.

    Raises:
        RecipeError: no such file, no transforms.json, a lens that is no pinhole's, a pose that is none.
    """
    if isinstance(images, str):
        images = {"transforms": images}
    if not isinstance(images, Mapping) or not isinstance(images.get("transforms"), str):
        return images
    from zero3d.transforms import labelled, posed_picture, read_transforms, transforms_file  # with torch

    options: PosedFiles = typed(PosedFiles, images, place)
    file = transforms_file(Path(options.transforms))
    try:
        frames = read_transforms(file)[:: options.every]
        if len(frames) > MOST:
            raise UserError(f"{file}: {len(frames)} pictures; at most {MOST}: take every n-th with images.every")
        return {label: posed_picture(frame, options.scale, options.centre) for label, frame in labelled(frames).items()}
    except UserError as error:
        raise RecipeError(f"{place}: {error}") from None
