"""Python's values as the key=value overrides of a recipe."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError


def words(values: Mapping[str, Any]) -> list[str]:
    """`{"input.elevation_deg": 20, "export": None}` -> ["input.elevation_deg=20", "export=null"].

    Values are None, bool, numbers (numpy's too), text, paths, and lists, tuples and mappings of them. A mapping replaces
    what the recipe has there, as on the command line.

    Raises:
        RecipeError: a value of another type.
    """
    return [f"{key}={_yaml(value, str(key))}" for key, value in values.items()]


def _yaml(value: Any, key: str) -> str:
    """The value in YAML's flow style, which JSON is but for what JSON has no word for."""
    if isinstance(value, Path):
        value = str(value)
    if value is None or isinstance(value, bool | int | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        return (
            repr(float(value))
            if math.isfinite(value)
            else {"nan": ".nan", "inf": ".inf", "-inf": "-.inf"}[str(float(value))]
        )
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_yaml(str(k), key)}: {_yaml(v, f'{key}.{k}')}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_yaml(one, key) for one in value) + "]"
    if hasattr(value, "tolist"):  # numpy's and torch's
        return _yaml(value.tolist(), key)
    raise RecipeError(
        f"{key}: {value!r} is a {type(value).__name__}; give None, a bool, a number, text, a path, a list or a dict"
    )


@contextlib.contextmanager
def picture_word(image: Any) -> Iterator[dict[str, Any]]:
    """The override of a picture: a path or a recipe's block as it is; a PIL picture, or (H, W, 3 or 4) uint8, as a PNG file
    that is there while the block runs (a run keeps a copy).

    Raises:
        RecipeError: none of these.
    """
    if image is None or isinstance(image, str | Path | Mapping):
        yield {} if image is None else {"image": image}
        return
    from PIL import Image

    if not isinstance(image, Image.Image):
        try:
            if image.dtype != "uint8" or image.ndim != 3 or image.shape[2] not in (3, 4):
                raise TypeError
            image = Image.fromarray(image)
        except (AttributeError, TypeError, ValueError):
            kind = f"{type(image).__name__} {getattr(image, 'dtype', '')} {getattr(image, 'shape', '')}".strip()
            raise RecipeError(
                f"image: {kind}; give a path, a PIL picture, or a uint8 array (height, width, 3 or 4)"
            ) from None
    with tempfile.TemporaryDirectory(prefix="zero3d-") as place:
        path = Path(place) / "picture.png"
        image.save(path)  # with its colour profile, if it has one
        yield {"image": str(path)}
