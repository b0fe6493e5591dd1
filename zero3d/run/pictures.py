"""The picture of a run: the recipe's with its mask, and the copy that the folder keeps."""

from __future__ import annotations

from pathlib import Path

from zero3d import folder
from zero3d.interfaces import SourcePicture
from zero3d.recipe import Recipe
from zero3d.registry import Registry


def load_picture(recipe: Recipe, registry: Registry) -> SourcePicture:
    """The recipe's picture with a mask. One that was made, and in which no object is found, is kept beside `out`."""
    out = Path((recipe.whole or recipe.source)["out"])
    assert recipe.image is not None
    mask = recipe.options.input.mask
    source: SourcePicture = recipe.image.build().load(mask)
    if source.masked:
        return source
    made = out.with_name(f"{out.name}.{folder.PICTURE}")
    folder.save_picture(source.rgba, made)
    found = read_picture(made, registry, mask)
    made.unlink()
    return SourcePicture(found.rgba, source.notes + found.notes, source.origin)


def kept_picture(path: Path, registry: Registry) -> SourcePicture:
    """The run's own copy, so that the folder can move and the original can go."""
    return read_picture(path / folder.PICTURE, registry, "alpha")


def read_picture(file: Path, registry: Registry, mask: str | None) -> SourcePicture:
    source = registry.get("image_source", "file", str(file))
    picture: SourcePicture = source(source.Config(path=str(file))).load(mask)  # type: ignore[attr-defined]
    return picture
