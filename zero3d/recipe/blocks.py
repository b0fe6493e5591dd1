"""The blocks of a recipe: a component with its options, and what the engine knows of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zero3d.errors import RecipeError, did_you_mean
from zero3d.interfaces import Component, Regularizer
from zero3d.recipe.schema import typed
from zero3d.registry import Registry
from zero3d.schedule import Schedule

VIEWS = ("novel", "near", "input")
"""What a regularizer's `view` may be."""
HEAVIEST = 1e9
"""The largest weight of a term; the published ones end at 100,000."""


@dataclass(frozen=True)
class Block:
    """One component of a recipe with its checked options; `place` is "file: key.path" for errors.

    What belongs to the engine, not to the component: `weight` (guidance and regularizers), `view` (regularizers),
    `denoiser` (guidance: the label of its teacher), `cameras` (guidance: a sampler of its own).
    """

    place: str
    label: str
    component: type[Any]
    config: Any
    weight: Schedule | None = None
    view: str = "novel"
    denoiser: str | None = None
    cameras: Block | None = None

    def build(self, *arguments: Any) -> Any:
        """The component itself. A class may choose another by a classmethod `build(config, ...)`."""
        maker = getattr(self.component, "build", self.component)
        return maker(self.config, *arguments)


def make_block(registry: Registry, kind: str, file: str, key: str, value: Any, label: str | None = None) -> Block:
    """One block: `type` names the component (default: `label`), the rest are its options and the engine's.

    Raises:
        RecipeError: see `typed` and `Registry.get`.
    """
    place = f"{file}: {key}"
    if not isinstance(value, Mapping):
        raise RecipeError(f"{place}: {value!r} is no block; write {{type: ..., option: value}}")
    options = dict(value)
    name = options.pop("type", label)
    if not isinstance(name, str):
        wrong = "missing" if name is None else f"{name!r} is no name"
        raise RecipeError(f"{place}.type: {wrong}; name one of {', '.join(registry.names(kind))}")
    component = registry.get(kind, name, f"{place}.type" if "type" in value else place)
    own = {key for key in _engine_keys(kind) if key in options}
    engine = {key: options.pop(key) for key in own}
    _check_options(component, options, place, kind)
    return Block(
        place=place,
        label=label or name,
        component=component,
        config=typed(component.Config, options, place),
        weight=_weight(component, engine, place, kind),
        view=_view(component, engine, place),
        denoiser=_teacher(engine, place),
        cameras=make_block(registry, "camera_sampler", file, f"{key}.cameras", engine["cameras"])
        if engine.get("cameras") is not None
        else None,
    )


def _engine_keys(kind: str) -> tuple[str, ...]:
    return {"guidance": ("weight", "denoiser", "cameras"), "regularizer": ("weight", "view")}.get(kind, ())


def _check_options(component: type[Component], options: Mapping[str, Any], place: str, kind: str) -> None:
    known = [f.name for f in dataclasses.fields(component.Config)] + list(_engine_keys(kind)) + ["type"]
    for key in options:
        if key not in known:
            raise RecipeError(
                f"{place}.{key}: {kind} {component.name!r} has no such option.{did_you_mean(str(key), known)}"
            )


def _weight(component: type[Component], engine: Mapping[str, Any], place: str, kind: str) -> Schedule | None:
    if kind not in ("guidance", "regularizer"):
        return None
    default = component.default_weight if issubclass(component, Regularizer) else 1.0
    try:
        return Schedule.parse(engine.get("weight", default), "weight").within(0, HEAVIEST, "weight")
    except ValueError as error:
        raise RecipeError(f"{place}.{error}") from None


def _teacher(engine: Mapping[str, Any], place: str) -> str | None:
    label = engine.get("denoiser")
    if label is not None and not isinstance(label, (str, int)):
        raise RecipeError(f"{place}.denoiser: {label!r}; the label of one of the recipe's denoisers")
    return None if label is None else str(label)


def _view(component: type[Component], engine: Mapping[str, Any], place: str) -> str:
    default = component.default_view if issubclass(component, Regularizer) else "novel"
    view = engine.get("view", default)
    if view not in VIEWS:
        raise RecipeError(f"{place}.view: {view!r}.{did_you_mean(str(view), VIEWS)}")
    return str(view)
