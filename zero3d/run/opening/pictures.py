"""The pictures of a run: the recipe's with their masks, and the copies that the folder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import Image

from zero3d import folder
from zero3d.errors import RunError
from zero3d.interfaces import SourcePicture
from zero3d.recipe import Block, Recipe, file_source
from zero3d.registry import Registry


@dataclass(frozen=True)
class Pictures:
    """Label -> (H, W, 4) uint8 with the object's mask in alpha, the front first; lines for the user; where each is from."""

    rgba: Mapping[str, numpy.ndarray]
    notes: tuple[str, ...] = ()
    origins: Mapping[str, str] | None = None


def load_pictures(recipe: Recipe, registry: Registry) -> Pictures:
    """The recipe's pictures with masks. One that was made, and in which no object is found, is kept beside `out`."""
    found = {label: _load(label, block, recipe, registry) for label, block in recipe.images.items()}
    several = len(found) > 1
    return Pictures(
        {label: source.rgba for label, source in found.items()},
        tuple(f"{label}: {note}" if several else note for label, source in found.items() for note in source.notes),
        {label: source.origin for label, source in found.items()},
    )


def _load(label: str, block: Block, recipe: Recipe, registry: Registry) -> SourcePicture:
    mask = recipe.options.input.mask
    source: SourcePicture = block.build().read(mask)
    if source.masked:
        return source
    out = Path((recipe.whole or recipe.source)["out"])
    made = out.with_name(f"{out.name}.{folder.PICTURE}")
    folder.save_picture(source.rgba, made)
    finder = registry.get("image_source", file_source(registry), block.place)
    found: SourcePicture = finder(finder.Config(path=str(made))).read(mask)  # type: ignore[attr-defined]
    made.unlink()
    return SourcePicture(found.rgba, source.notes + found.notes, source.origin)


def kept_pictures(path: Path, recipe: Recipe) -> Pictures:
    """The run's own copies, so that the folder can move and the originals can go.

    Raises:
        RunError: one is missing or unreadable.
    """
    return Pictures({label: _kept(path / folder.picture_name(label, recipe.images)) for label in recipe.images})


def _kept(file: Path) -> numpy.ndarray:
    try:
        with Image.open(file) as picture:
            return numpy.array(picture.convert("RGBA"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RunError(f"{file}: the run's picture cannot be read ({error}); put the RGBA PNG back") from None
