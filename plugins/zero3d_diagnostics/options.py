"""A component's options as a recipe writes them."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import yaml

from zero3d import Schedule


def changed_options(config: Any) -> dict[str, str]:
    """The options of a Config that are not at their default, as text; those without a default always are."""
    required = {f.name for f in fields(config) if f.default is MISSING and f.default_factory is MISSING}
    default = type(config)(**{name: getattr(config, name) for name in required})
    shown = [
        f.name for f in fields(config) if f.name in required or getattr(config, f.name) != getattr(default, f.name)
    ]
    return {name: option_text(getattr(config, name)) for name in shown}


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
