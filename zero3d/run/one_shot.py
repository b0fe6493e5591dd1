"""`zero3d reconstruct NAME`: the recipe of a run that keeps what a reconstructor makes."""

from __future__ import annotations

import yaml

from zero3d.errors import RecipeError
from zero3d.interfaces import Reconstructor
from zero3d.recipe import RecipeText
from zero3d.registry import Registry


def one_shot(name: str, registry: Registry) -> RecipeText:
    """A recipe without steps that starts from the reconstructor and holds its model as it recommends.

    Raises:
        RecipeError: no such reconstructor, or one that does not say what holds its model.
    """
    place = f"zero3d reconstruct {name}"
    component = registry.get("reconstructor", name, place)
    assert issubclass(component, Reconstructor)
    if not component.recipe:
        raise RecipeError(
            f"{place}: it does not say what holds its model; write a recipe with start: {{type: {name}}}, steps: 0, "
            "cameras, representation, renderer and export"
        )
    keys = {"steps": 0, "start": {"type": name}, **component.recipe}
    return RecipeText(place, yaml.safe_dump(keys, sort_keys=False))
