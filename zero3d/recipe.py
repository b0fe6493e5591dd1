"""A recipe: YAML and key=value overrides -> checked blocks. Nothing is built and no weight is read here."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zero3d.errors import RecipeError, did_you_mean
from zero3d.interfaces import Component, Regularizer
from zero3d.picture import FRAMINGS
from zero3d.registry import Registry
from zero3d.schedule import Schedule
from zero3d.stages import split_stages

SINGLE_BLOCKS = {
    "image": "image_source",
    "cameras": "camera_sampler",
    "denoiser": "denoiser",
    "representation": "representation",
    "renderer": "renderer",
}
"""Recipe keys that hold one block, and the kind of component there."""
BLOCK_MAPS = {
    "denoisers": "denoiser",
    "guidance": "guidance",
    "regularizers": "regularizer",
    "observers": "observer",
    "export": "exporter",
}
"""Recipe keys that map labels to blocks, and the kind of component there."""
VIEWS = ("novel", "near", "input")
"""What a regularizer's `view` may be."""


@dataclass
class InputOptions:
    """`input`: how the picture is read.

    elevation_deg: the camera's height over the object's horizon, degrees in [-90, 90]; None assumes 20 and says so.
    mask: a file, or a method of the image source; None finds it. framing: keep, demo or fit (see zero3d.picture).
    """

    elevation_deg: float | None = None
    mask: str | None = None
    framing: str = "fit"

    def __post_init__(self) -> None:
        if self.elevation_deg is not None and not -90 <= self.elevation_deg <= 90:
            raise ValueError(f"elevation_deg: {self.elevation_deg}; degrees up from the horizon, -90 to 90")
        if self.framing not in FRAMINGS:
            raise ValueError(f"framing: {self.framing!r}.{did_you_mean(self.framing, FRAMINGS)}")


@dataclass
class OptimizerOptions:
    """`optimizer`. type: adam, adamax or sgd. lr: the rate, a number or a schedule. betas, eps: as in torch."""

    type: str = "adam"
    lr: Any = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.type not in ("adam", "adamax", "sgd"):
            raise ValueError(f"type: {self.type!r}.{did_you_mean(self.type, ('adam', 'adamax', 'sgd'))}")
        if self.rate.extremes[0] < 0:
            raise ValueError(f"lr: {self.rate.extremes[0]}; a learning rate is not negative")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas: {self.betas}; two numbers in [0, 1)")

    @property
    def moments(self) -> int:
        """How many numbers it keeps of each parameter."""
        return 0 if self.type == "sgd" else 2

    @property
    def rate(self) -> Schedule:
        """The learning rate over the run. (`lr` stays as written: OmegaConf keeps plain values in nested options.)"""
        return Schedule.parse(self.lr, "lr")


@dataclass
class CheckpointOptions:
    """`checkpoint`. every: steps between two saves, at least 1."""

    every: int = 100

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")


@dataclass
class RunOptions:
    """The plain keys of a recipe.

    out: the run's folder. overwrite: a former run there is deleted first. seed: of all random streams, 0 or more.
    device: auto, cpu, cuda or mps. steps: of the optimisation, at least 1. input: how the picture is read. optimizer:
    which, and how fast. checkpoint: how often the run is saved.
    """

    out: str | None = None
    overwrite: bool = False
    seed: int = 0
    device: str = "auto"
    steps: int = 1000
    input: InputOptions = field(default_factory=InputOptions)
    optimizer: OptimizerOptions = field(default_factory=OptimizerOptions)
    checkpoint: CheckpointOptions = field(default_factory=CheckpointOptions)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps: {self.steps}; at least 1")
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed}; not negative")


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


@dataclass(frozen=True)
class Recipe:
    """A checked recipe, or the first stage of one that has stages.

    `source` is the plain, resolved mapping that recipe.yaml keeps, of this stage alone. `later`: the stages that follow it.
    `whole`: of a stage, the mapping of the recipe with all its stages.
    """

    file: str
    source: dict[str, Any]
    options: RunOptions
    image: Block | None
    cameras: Block
    representation: Block
    renderer: Block
    denoisers: dict[str, Block]
    guidance: dict[str, Block]
    regularizers: dict[str, Block]
    observers: dict[str, Block]
    export: dict[str, Block]
    later: tuple[Recipe, ...] = ()
    whole: dict[str, Any] | None = None

    def place(self, key: str) -> str:
        """`file: key`, the beginning of an error's line."""
        return f"{self.file}: {key}"


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


def typed(schema: type[Any], options: Mapping[str, Any], place: str) -> Any:
    """An instance of the dataclass `schema` from plain options.

    Raises:
        RecipeError: an unknown key (with the nearest one), a wrong type, or a value out of range.
    """
    known = [f.name for f in dataclasses.fields(schema)]
    for key in options:
        if key not in known:
            raise RecipeError(f"{_join(place, str(key))}: no such option.{did_you_mean(str(key), known)}")
    for f in dataclasses.fields(schema):
        nested = f.type if isinstance(f.type, type) else _nested_type(schema, f.name)
        if nested is not None and dataclasses.is_dataclass(nested) and isinstance(options.get(f.name), Mapping):
            typed(nested, options[f.name], _join(place, f.name))
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(options)))
    except OmegaConfBaseException as error:
        key = str(getattr(error, "full_key", "") or "")
        reason = str(error).splitlines()[0]
        raise RecipeError(f"{_join(place, key) if key else place}: {reason}") from None
    except ValueError as error:
        raise RecipeError(_join(place, str(error))) from None


def _join(place: str, key: str) -> str:
    """`file:` + key or `file: path` + key."""
    return f"{place} {key}" if place.endswith(":") else f"{place}.{key}"


def _nested_type(schema: type[Any], name: str) -> type[Any] | None:
    hint = typing.get_type_hints(schema).get(name)
    return hint if isinstance(hint, type) else None


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
        raise RecipeError(f"{place}.type: missing; name one of {', '.join(registry.names(kind))}")
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
        denoiser=engine.get("denoiser"),
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
        return Schedule.parse(engine.get("weight", default), "weight")
    except ValueError as error:
        raise RecipeError(f"{place}.{error}") from None


def _view(component: type[Component], engine: Mapping[str, Any], place: str) -> str:
    default = component.default_view if issubclass(component, Regularizer) else "novel"
    view = engine.get("view", default)
    if view not in VIEWS:
        raise RecipeError(f"{place}.view: {view!r}.{did_you_mean(str(view), VIEWS)}")
    return str(view)


def load_recipe(file: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe. Of one with stages, the first stage, with the others in its `later`.

    Raises:
        RecipeError: one line that names the file, the key path, the value and the nearest right one.
    """
    whole, name = read_yaml(file, overrides), str(file)
    if whole.get("stages") is None:
        return _check(whole, name, registry)
    stages = split_stages(whole, name, BLOCK_MAPS)
    recipes = [dataclasses.replace(_check(own, place, registry), whole=whole) for place, own in stages.items()]
    return dataclasses.replace(recipes[0], later=tuple(recipes[1:]))


def _check(source: dict[str, Any], name: str, registry: Registry) -> Recipe:
    """A recipe without stages; `name` begins its errors."""
    plain = [f.name for f in dataclasses.fields(RunOptions)]
    known = [*plain, *SINGLE_BLOCKS, *BLOCK_MAPS]
    for key in source:
        if key not in known:
            raise RecipeError(f"{name}: {key}: no such key.{did_you_mean(key, known)}")
    for key in ("cameras", "representation", "renderer", "guidance"):
        if source.get(key) is None:
            raise RecipeError(f"{name}: {key}: missing; a recipe needs this block")
    options = typed(RunOptions, {key: source[key] for key in plain if source.get(key) is not None}, f"{name}:")

    def single(key: str) -> Block | None:
        value = source.get(key)
        if value is None:
            return None
        if key == "image" and isinstance(value, str):
            value = {"type": "file", "path": value}
        return make_block(registry, SINGLE_BLOCKS[key], name, key, value)

    def labelled(key: str) -> dict[str, Block]:
        value = source.get(key)
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise RecipeError(f"{name}: {key}: {value!r} is no map; write label: {{type: ..., option: value}}")
        return {
            str(label): make_block(
                registry, BLOCK_MAPS[key], name, f"{key}.{label}", {} if block is True else block, str(label)
            )
            for label, block in value.items()
            if block is not None
        }

    denoisers = labelled("denoisers")
    one = single("denoiser")
    if one is not None:
        if denoisers:
            raise RecipeError(f"{name}: denoiser: given beside denoisers; move it to denoisers.<label>")
        denoisers = {"denoiser": one}
    guidance = labelled("guidance")
    for label, block in guidance.items():
        teacher = block.denoiser or (next(iter(denoisers)) if len(denoisers) == 1 else None)
        if teacher not in denoisers:
            hint = did_you_mean(str(teacher), denoisers)
            raise RecipeError(f"{block.place}.denoiser: {teacher!r} is no denoiser of this recipe.{hint}")
        guidance[label] = dataclasses.replace(block, denoiser=teacher)
    cameras, representation, renderer = single("cameras"), single("representation"), single("renderer")
    assert cameras
    assert representation
    assert renderer
    return Recipe(
        file=name,
        source=source,
        options=options,
        image=single("image"),
        cameras=cameras,
        representation=representation,
        renderer=renderer,
        denoisers=denoisers,
        guidance=guidance,
        regularizers=labelled("regularizers"),
        observers=labelled("observers"),
        export=labelled("export"),
    )
