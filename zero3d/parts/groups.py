"""The groups of a representation's parameters, as the optimizer takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zero3d.errors import RecipeError
from zero3d.schedule import Schedule


def optimizer_group(group: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A group with its rate as a schedule; `name`: of the representation.

    Raises:
        RecipeError: it gives "lr" itself, or a scale that is no schedule.
    """
    if "lr" in group:
        raise RecipeError(
            f"representation {name!r}: param_groups: 'lr' is the recipe's; give 'lr_scale', a factor of it"
        )
    try:
        return {**group, "lr_scale": Schedule.parse(group.get("lr_scale", 1.0), "lr_scale")}
    except ValueError as error:
        raise RecipeError(f"representation {name!r}: param_groups: {error}") from None
