"""The pictures of a recipe: `image`, or several as `images`, each with where it was taken from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from zero3d.errors import RecipeError
from zero3d.files.labels import check_label
from zero3d.interfaces import ImageSource
from zero3d.recipe.blocks import PLACED, Block, Placed, make_block
from zero3d.recipe.schema import typed
from zero3d.registry import Registry


def load_images(source: Mapping[str, Any], name: str, registry: Registry) -> dict[str, Block]:
    """Label -> the picture's source, the front first; none for a recipe without pictures.

    Raises:
        RecipeError: both keys, no map, an option of no kind, or a front picture that is not at azimuth 0.
    """
    image, images = source.get("image"), source.get("images")
    if image is not None and images is not None:
        raise RecipeError(f"{name}: image: given beside images; move it to images.front")
    if image is not None:
        return {"front": make_block(registry, "image_source", name, "image", _plain(image, registry))}
    if images is None:
        return {}
    if not isinstance(images, Mapping) or not images:
        raise RecipeError(
            f"{name}: images: {images!r} is no map; write a folder with transforms.json, or "
            "front: {path: a.png}, back: {path: b.png, ...}"
        )
    labels = [str(label).casefold() for label in images]
    for label in images:
        if labels.count(str(label).casefold()) > 1:
            raise RecipeError(f"{name}: images.{label}: twice, where upper and lower case are one; rename one")
    found = {str(k): _posed(registry, name, str(k), v) for k, v in images.items() if v is not None}
    first = next(iter(found.values()), None)
    if first is not None and first.placed is not None and first.placed.azimuth_deg != 0:
        raise RecipeError(
            f"{first.place}.azimuth_deg: {first.placed.azimuth_deg:g}; the first picture is the front, at 0"
        )
    return found


def check_picture(image: Any, name: str, registry: Registry) -> None:
    """Raises PictureError: the file that a recipe's `image` names is not there."""
    block = None if image is None else _plain(image, registry)
    if isinstance(block, Mapping) and block.get("type") == file_source(registry):
        make_block(registry, "image_source", name, "image", block).build().check()


def file_source(registry: Registry) -> str:
    """The name of the image source that a plain path means.

    Raises:
        RecipeError: none is installed.
    """
    for name in registry.names("image_source"):
        component = registry.get("image_source", name, "image")
        if issubclass(component, ImageSource) and component.reads_paths:
            return name
    raise RecipeError(f"image: no installed image source reads a path.{registry.failed}")


def _plain(value: Any, registry: Registry) -> Any:
    """A path as the block that it stands for."""
    if isinstance(value, Mapping):
        return value if "type" in value or "path" not in value else {"type": file_source(registry), **value}
    return {"type": file_source(registry), "path": value} if isinstance(value, str) else value


def _posed(registry: Registry, name: str, label: str, value: Any) -> Block:
    key = f"images.{label}"
    check_label(label, f"{name}: images")
    block = _plain(value, registry)
    if not isinstance(block, Mapping):
        raise RecipeError(f"{name}: {key}: {value!r} is no block; write {{path: a.png, azimuth_deg: 90}}")
    own = {"type": file_source(registry)} | {k: v for k, v in block.items() if k not in PLACED}
    placed = typed(Placed, {k: v for k, v in block.items() if k in PLACED}, f"{name}: {key}")
    made = make_block(registry, "image_source", name, key, own, beside=PLACED)
    return dataclasses.replace(made, label=label, placed=placed)
