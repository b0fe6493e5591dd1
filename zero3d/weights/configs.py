"""Configurations of networks by part, and a user's changes to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError, did_you_mean

Configs = dict[str, dict[str, Any]]
"""Part -> its configuration, in the words of diffusers and transformers."""


def changed_configs(published: Mapping[str, Mapping[str, Any]], file: str, place: str = "denoiser.config") -> Configs:
    """These configurations, with the entries of a JSON file {part: {entry: value}}, if one is named, in their place.

    Raises:
        RecipeError: no JSON file, or a part that does not exist.
    """
    changes: Any = {}
    if file:
        try:
            changes = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RecipeError(f"{place}: {file!r}: no readable JSON file ({error})") from None
    if not isinstance(changes, dict) or not all(isinstance(change, dict) for change in changes.values()):
        raise RecipeError(f"{place}: {file!r}: give an object of parts, {{'unet': {{...}}, ...}}")
    for part in changes:
        if part not in published:
            raise RecipeError(f"{place}: {file!r}: no part {part!r}.{did_you_mean(part, published)}")
    return {part: {**config, **changes.get(part, {})} for part, config in published.items()}
