"""The blocks of a recipe: a component with its options, and what the engine knows of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from zero3d.errors import RecipeError, UserError, did_you_mean
from zero3d.interfaces import Component
from zero3d.recipe.refusals import of_another_family, told_under
from zero3d.recipe.schema import typed
from zero3d.registry import Registry
from zero3d.schedule import Schedule

VIEWS = ("novel", "near", "input")
"""What a regularizer's `view` may be; or "input.LABEL" of a recipe with several pictures."""
ENGINE_KEYS = {
    "guidance": ("weight", "every", "denoiser", "encoder", "cameras"),
    "regularizer": ("weight", "every", "view", "encoder"),
}
"""Options of a term that the engine reads."""
HEAVIEST = 1e9
"""The largest weight of a term; the published ones end at 100,000."""


def _published_fov_deg() -> float:
    from zero3d.values import PUBLISHED_FOV  # with torch, a second, which recipes of one picture need not wait for here

    return math.degrees(PUBLISHED_FOV)


@dataclass
class Placed:
    """Where one of several pictures was taken from.

    azimuth_deg: to the front picture, counter-clockwise seen from above, -360 to 360. elevation_deg: up from the horizon,
    -90 to 90; None takes input.elevation_deg. distance: from the object's centre, world units, above 0. camera_to_world: in
    place of these, 16 numbers of a matrix, row by row, OpenGL axes. fov_deg: across the picture's width, 0 to 180; the
    published 49.13. principal_point: where the camera looks to, shares of width and height; [0.5, 0.5]. view_weight: its
    share among the pictures, above 0. resolution: side of its view as it is rendered, pixels; None takes input.resolution.
    """

    azimuth_deg: float = 0.0
    elevation_deg: float | None = None
    distance: float = 2.0
    camera_to_world: list[float] | None = None
    fov_deg: float = field(default_factory=_published_fov_deg)
    principal_point: list[float] = field(default_factory=lambda: [0.5, 0.5])
    view_weight: float = 1.0
    resolution: int | None = None

    def __post_init__(self) -> None:
        if not -360 <= self.azimuth_deg <= 360:
            raise ValueError(f"azimuth_deg: {self.azimuth_deg}; degrees to the front picture, -360 to 360")
        if self.elevation_deg is not None and not -90 <= self.elevation_deg <= 90:
            raise ValueError(f"elevation_deg: {self.elevation_deg}; degrees up from the horizon, -90 to 90")
        if not 0.1 <= self.distance <= 100:
            raise ValueError(f"distance: {self.distance}; 0.1 to 100 world units")
        if not 0 < self.fov_deg < 180:
            raise ValueError(f"fov_deg: {self.fov_deg}; degrees between 0 and 180")
        if not 0 < self.view_weight <= 1e6:
            raise ValueError(f"view_weight: {self.view_weight}; above 0, at most 1e6")
        if len(self.principal_point) != 2 or not all(0.25 <= share <= 0.75 for share in self.principal_point):
            raise ValueError(f"principal_point: {self.principal_point}; shares of width and height, 0.25 to 0.75")
        if self.resolution is not None and not 2 <= self.resolution <= 4096:
            raise ValueError(f"resolution: {self.resolution}; 2 to 4096 pixels")
        if self.camera_to_world is not None:
            self._check_pose(self.camera_to_world)

    def _check_pose(self, numbers: list[float]) -> None:
        if len(numbers) != 16:
            raise ValueError(f"camera_to_world: {len(numbers)} numbers; 16, row by row")
        if self.azimuth_deg or self.elevation_deg is not None or self.distance != 2.0:
            raise ValueError("camera_to_world: given beside angles or a distance; write one of the two")
        import torch

        from zero3d.geometry import check_cameras
        from zero3d.values import Cameras

        try:
            check_cameras(Cameras(torch.tensor(numbers).reshape(1, 4, 4), 1, 1), "camera_to_world")
        except UserError as error:
            raise ValueError(str(error)) from None


PLACED = tuple(option.name for option in dataclasses.fields(Placed))


@dataclass(frozen=True)
class Block:
    """One component of a recipe with its checked options; `place` is "file: key.path" for errors.

    What belongs to the engine, not to the component: `weight` (guidance and regularizers; with `every`, 0 but in every so
    many steps), `view` (regularizers),
    `denoiser`, `encoder` (guidance; encoder: regularizers too: the label of the teacher), `cameras` (guidance: a sampler of
    its own), `placed` (images: where the picture was taken from).
    """

    place: str
    label: str
    component: type[Any]
    config: Any
    weight: Schedule | None = None
    view: str = "novel"
    denoiser: str | None = None
    encoder: str | None = None
    cameras: Block | None = None
    placed: Placed | None = None
    registry: Registry = field(default_factory=Registry, compare=False, repr=False)

    def build(self, *arguments: Any) -> Any:
        """The component itself. A class may choose another by a classmethod `build(config, ...)`.

        Raises:
            UserError: what the component refuses, under this block's key; weights of another family are named.
        """
        maker, key = getattr(self.component, "build", self.component), self.place.rpartition(": ")[2]
        key = key if key.startswith(f"{self.component.kind}s.") else ""
        with told_under(self.component, key, partial(of_another_family, self.registry, self.component, self.config)):
            made = maker(self.config, *arguments)
        made.key = key
        return made


def make_block(
    registry: Registry, kind: str, file: str, key: str, value: Any, label: str | None = None, beside: Iterable[str] = ()
) -> Block:
    """One block: `type` names the component (default: `label`), the rest are its options and the engine's.

    `beside`: options that stand in the recipe beside these, and are read elsewhere.

    Raises:
        RecipeError: see `typed` and `Registry.get`.
    """
    name, place = component_name(registry, kind, file, key, value, label), f"{file}: {key}"
    component = registry.get(kind, name, f"{place}.type" if "type" in value else place)
    options = {k: v for k, v in value.items() if k != "type"}
    # a component's own option of that name is its own
    its, keys = {field.name for field in dataclasses.fields(component.Config)}, ENGINE_KEYS.get(kind, ())
    engine = {key: options.pop(key) for key in keys if key in options and key not in its}
    known = its.union(keys, beside, ["type"])
    for wrong in (str(name) for name in options if name not in known):
        hint = did_you_mean(wrong, known, " Give it null to remove it.")  # it was another `type`'s
        raise RecipeError(f"{place}.{wrong}: {kind} {component.name!r} has no such option.{hint}")
    config = typed(component.Config, options, place)
    weight, view = _weight(component, engine, place, kind), _view(component, engine, place)
    denoiser, encoder = _label(engine, "denoiser", place), _label(engine, "encoder", place)
    cameras = engine.get("cameras")
    if cameras is not None:
        cameras = make_block(registry, "camera_sampler", file, f"{key}.cameras", cameras)
    return Block(place, label or name, component, config, weight, view, denoiser, encoder, cameras, registry=registry)


def component_name(registry: Registry, kind: str, file: str, key: str, value: Any, label: str | None = None) -> str:
    """The name of a block's component, which is there; not imported yet. Arguments and errors as `make_block`'s."""
    place = f"{file}: {key}"
    if not isinstance(value, Mapping):
        raise RecipeError(f"{place}: {value!r} is no block; write {{type: ..., option: value}}")
    name = value.get("type", label)
    if not isinstance(name, str):
        wrong = "missing" if name is None else f"{name!r} is no name"
        raise RecipeError(f"{place}.type: {wrong}; name one of {', '.join(registry.names(kind))}")
    registry.check_name(kind, name, f"{place}.type" if "type" in value else place)
    return name


def _label(engine: Mapping[str, Any], key: str, place: str) -> str | None:
    value = engine.get(key)
    if value is not None and not isinstance(value, (str, int)):
        raise RecipeError(f"{place}.{key}: {value!r}; the label of one of the recipe's {key}s")
    return None if value is None else str(value)


def _weight(component: type[Component], engine: Mapping[str, Any], place: str, kind: str) -> Schedule | None:
    if kind not in ("guidance", "regularizer"):
        return None
    default = getattr(component, "default_weight", 1.0)
    every = engine.get("every", getattr(component, "default_every", 1))
    try:
        weight = Schedule.parse(engine.get("weight", default), "weight").within(0, HEAVIEST, "weight")
    except ValueError as error:
        raise RecipeError(f"{place}.{error}") from None
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise RecipeError(f"{place}.every: {every!r}; a number of steps, at least 1")
    return dataclasses.replace(weight, every=every)


def _view(component: type[Component], engine: Mapping[str, Any], place: str) -> str:
    view = engine.get("view", getattr(component, "default_view", "novel"))
    if view not in VIEWS and not str(view).startswith("input."):
        raise RecipeError(f"{place}.view: {view!r}.{did_you_mean(str(view), VIEWS)}")
    return str(view)
