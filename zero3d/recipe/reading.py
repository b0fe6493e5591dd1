"""YAML and key=value overrides -> a plain mapping."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zero3d.errors import RecipeError, did_you_mean


def read_yaml(file: str | Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """A YAML mapping with `key.path=value` overrides; a map given as an override replaces, it does not merge.

    Raises:
        RecipeError: no such file, no valid YAML, no mapping, or an override without "=".
    """
    path = Path(file)
    try:
        loaded = OmegaConf.load(path)
    except FileNotFoundError:
        near = sorted(str(p) for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise RecipeError(f"{file}: no such recipe.{did_you_mean(str(path), near)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{file}: cannot be read ({error}); give a YAML file") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{file}: no valid YAML: {error}") from None
    if not OmegaConf.is_dict(loaded):
        raise RecipeError(f"{file}: a recipe is a mapping of keys such as image, steps, guidance")
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise RecipeError(f"override {override!r}: write key.path=value, for example steps=500")
        try:
            # OmegaConf's own reader, as for the file: to plain YAML 1.1, 1e-3 is a word
            value: Any = OmegaConf.to_container(OmegaConf.create(f"value:\n  {text}"))
            OmegaConf.update(loaded, key, value["value"], merge=False, force_add=True)
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            raise RecipeError(f"override {override!r}: {error}") from None
    try:
        plain = OmegaConf.to_container(loaded, resolve=True)
    except OmegaConfBaseException as error:
        raise RecipeError(f"{file}: {error}") from None
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
