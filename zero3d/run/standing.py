"""A run's recipe: as it was written, and the observers that every run has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zero3d.interfaces import Observer
from zero3d.recipe import Recipe, RecipeText, load_recipe, make_block
from zero3d.registry import Registry


def load_run_recipe(
    file: str | Path | RecipeText,
    registry: Registry,
    overrides: Sequence[str] = (),
    default_out: Callable[[Mapping[str, Any]], str] | None = None,
) -> Recipe:
    """`load_recipe`, and in every stage the observers that are `always` there.

    Raises:
        RecipeError: as `load_recipe`.
    """
    recipe = load_recipe(file, registry, overrides, default_out)
    later = tuple(_observed(stage, registry) for stage in recipe.later)
    return dataclasses.replace(_observed(recipe, registry), later=later)


def _observed(recipe: Recipe, registry: Registry) -> Recipe:
    """What the recipe says of an observer, that it wants none of it too, stays; one of another label counts."""
    named = recipe.source.get("observers", {})
    if named is None:
        return recipe
    taken = {*map(str, named), *(block.component.name for block in recipe.observers.values())}
    found = [entry.component for entry in registry.all() if issubclass(entry.component, Observer)]
    names = dict.fromkeys(kind.name for kind in found if kind.always and kind.name not in taken)
    own = {name: make_block(registry, "observer", recipe.file, f"observers.{name}", {}, name) for name in names}
    return dataclasses.replace(recipe, observers={**recipe.observers, **own})
