"""A component's options as a recipe writes them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import MISSING, Field, fields, replace
from typing import Any

import yaml

from zero3d import Schedule


def changed_options(config: Any) -> dict[str, str]:
    """The options of a Config that are not at their default, as text; those without a default always are."""
    changed = [f.name for f in fields(config) if not _at_default(config, f)]
    return {name: option_text(getattr(config, name)) for name in changed}


def _at_default(config: Any, field: Field[Any]) -> bool:
    """Whether the field's default among the other values of `config` is what it holds.

    No Config of defaults alone is made: a class may refuse that, as `image: {type: text}` without a prompt.
    """
    value = getattr(config, field.name)
    default = field.default if field.default_factory is MISSING else field.default_factory()
    if default is MISSING:
        return False
    with suppress(ValueError):
        default = getattr(replace(config, **{field.name: default}), field.name)  # as the class would leave it
    return bool(value == default)


def option_text(value: Any) -> str:
    """As a recipe would have it, on one line."""
    if isinstance(value, Schedule):
        return schedule_text(value)
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def schedule_text(schedule: Schedule) -> str:
    """A number, or {0%: 0.1, 60%: {jump: 0.05}}, and how often."""
    often = f" every {schedule.every} steps" if schedule.every > 1 else ""
    if len(schedule.knots) == 1 and not schedule.knots[0].jump:
        return f"{schedule.knots[0].value:g}{often}"
    knots = [
        f"{knot.at:g}{'%' if knot.percent else ''}: {f'{{jump: {knot.value:g}}}' if knot.jump else f'{knot.value:g}'}"
        for knot in schedule.knots
    ]
    return f"{{{', '.join(knots)}}}{often}"
