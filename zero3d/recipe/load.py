"""A recipe as a whole: a mapping -> checked options and blocks, of every stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError, did_you_mean
from zero3d.files.labels import OWN_FILES, check_label
from zero3d.recipe.blocks import Block, component_name, make_block
from zero3d.recipe.images import check_picture, load_images
from zero3d.recipe.options import RunOptions
from zero3d.recipe.posed_files import expanded
from zero3d.recipe.reading import RecipeText, read_yaml
from zero3d.recipe.schema import typed
from zero3d.recipe.stages import split_stages
from zero3d.recipe.teachers import with_teacher
from zero3d.registry import Registry

SINGLE_BLOCKS = {
    "image": "image_source",
    "cameras": "camera_sampler",
    "denoiser": "denoiser",
    "representation": "representation",
    "renderer": "renderer",
    "encoder": "encoder",
    "background": "background",
    "start": "reconstructor",
}
"""Recipe keys that hold one block, and the kind of component there."""
BLOCK_MAPS = {
    "images": "image_source",
    "denoisers": "denoiser",
    "encoders": "encoder",
    "guidance": "guidance",
    "regularizers": "regularizer",
    "observers": "observer",
    "export": "exporter",
}
"""Recipe keys that map labels to blocks, and the kind of component there."""
EXPORT_KEYS = ("export", "renderer", "denoiser", "denoisers", "device")
"""Recipe keys that matter when a finished run is exported again."""
REQUIRED = ("cameras", "representation", "renderer")
"""Keys of blocks that every recipe has."""
TERMS = ("guidance", "regularizers")
"""The keys of the objective's terms."""
File = str | Path | RecipeText
"""A recipe as it is given: a path, the name of one that came with zero3d, or its text."""
Out = Callable[[Mapping[str, Any]], str] | None
"""Mapping -> the run's folder, where it names none."""


@dataclass(frozen=True)
class Recipe:
    """A checked recipe, or the first stage of one that has stages.

    `source` is the plain, resolved mapping that recipe.yaml keeps, of this stage alone. `later`: the stages that follow it.
    `whole`: of a stage, the mapping of the recipe with all its stages. `images`: the front picture's first; of a recipe with
    `image`, that one.
    """

    file: str
    source: dict[str, Any]
    options: RunOptions
    images: dict[str, Block]
    cameras: Block
    representation: Block
    renderer: Block
    background: Block | None
    start: Block | None
    denoisers: dict[str, Block]
    encoders: dict[str, Block]
    guidance: dict[str, Block]
    regularizers: dict[str, Block]
    observers: dict[str, Block]
    export: dict[str, Block]
    later: tuple[Recipe, ...] = ()
    whole: dict[str, Any] | None = None

    @property
    def image(self) -> Block | None:
        """The first picture's source."""
        return next(iter(self.images.values()), None)

    @property
    def subject(self) -> frozenset[str]:
        """Which of "picture" and "prompt" it gives."""
        return frozenset({"picture"} if self.images else ()) | frozenset({"prompt"} if self.options.prompt else ())

    def place(self, key: str) -> str:
        """`file: key`, the beginning of an error's line."""
        return f"{self.file}: {key}"


def load_recipe(file: File, registry: Registry, overrides: Sequence[str] = (), default_out: Out = None) -> Recipe:
    """Read and check a recipe. Of one with stages, the first stage, with the others in its `later`.

    `file`: a path, or the name of a recipe that came with zero3d. `default_out`: mapping -> the run's folder, where it
    names none.

    Raises:
        RecipeError: one line that names the file, the key path, the value and the nearest right one.
    """
    whole, sources = _sources(file, overrides, default_out)
    shown = whole if "stages" in whole else None
    recipes = [dataclasses.replace(_check(own, place, registry), whole=shown) for place, own in sources.items()]
    return dataclasses.replace(recipes[0], later=tuple(recipes[1:]))


def look_over(file: File, registry: Registry, overrides: Sequence[str] = ()) -> None:
    """What can be told of a recipe that is to be run before torch is imported, which takes a second.

    Raises:
        RecipeError: as `load_recipe`.
        PictureError: no such picture.
    """
    for place, own in _sources(file, overrides)[1].items():
        _look_over(own, place, registry)
        check_picture(own.get("image"), place, registry)


def _sources(file: File, overrides: Sequence[str], default_out: Out = None) -> tuple[dict[str, Any], dict[str, Any]]:
    """A recipe as a whole, and place (its name, or those of its stages) -> keys."""
    whole, name = read_yaml(file, overrides), str(file)
    if whole.get("out") is None and default_out is not None:
        whole["out"] = default_out(whole)
    if (out := whole.get("out")) is not None:
        if not isinstance(out, (str, int)) or isinstance(out, bool) or not str(out).strip():
            raise RecipeError(f"{name}: out: {out!r} is no folder; name one, for example out=runs/cat")
        whole["out"] = str(out)  # YAML reads the name 5 as a number
    if "images" in whole:
        whole["images"] = expanded(whole["images"], f"{name}: images")
    if whole.get("stages") is None:
        whole.pop("stages", None)  # null removes them, as anything
        return whole, {name: whole}
    return whole, split_stages(whole, name, BLOCK_MAPS)


def _look_over(source: Mapping[str, Any], name: str, registry: Registry) -> RunOptions:
    """A recipe without stages: keys, plain options and the names of all components. `name` begins its errors."""
    plain = [f.name for f in dataclasses.fields(RunOptions)]
    known = [*plain, *SINGLE_BLOCKS, *BLOCK_MAPS]
    for key in source:
        if key not in known:
            raise RecipeError(f"{name}: {key}: no such key.{did_you_mean(key, known)}")
    for key in REQUIRED:
        if source.get(key) is None:
            raise RecipeError(f"{name}: {key}: missing; a recipe needs this block")
    options: RunOptions = typed(RunOptions, {k: source[k] for k in plain if source.get(k) is not None}, f"{name}:")
    if options.steps == 0 and source.get("start") is None:
        raise RecipeError(f"{name}: steps: 0; at least 1, or a start that makes the model")
    if options.steps and source.get("guidance") is None and source.get("regularizers") is None:
        raise RecipeError(f"{name}: guidance: missing; a recipe needs this block, or regularizers")
    for kind, key, value, label in _blocks(source, name):
        component_name(registry, kind, name, key, value, label)
    return options


def _blocks(source: Mapping[str, Any], name: str) -> Iterator[tuple[str, str, Any, str | None]]:
    """Kind, key, value and label of every block but the pictures'."""
    for key, kind in SINGLE_BLOCKS.items():
        if key != "image" and source.get(key) is not None:
            yield kind, key, source[key], None
    for key, kind in BLOCK_MAPS.items():
        if key != "images":
            yield from ((kind, f"{key}.{k}", value, k) for k, value in _labelled(source, name, key).items())


def _labelled(source: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
    """The blocks of a map, by label."""
    value = {} if source.get(key) is None else source[key]
    if not isinstance(value, Mapping):
        raise RecipeError(f"{name}: {key}: {value!r} is no map; write label: {{type: ..., option: value}}")
    found: dict[str, Any] = {}
    for given, block in value.items():
        label = check_label(given, f"{name}: {key}")
        if label in found:
            raise RecipeError(f"{name}: {key}.{label}: twice, once as {given!r}; rename one")
        if key == "export" and label.casefold() in OWN_FILES:
            raise RecipeError(f"{name}: {key}.{label}: the run's own file is called so; rename it")
        if block is not None:
            found[label] = {} if block is True else block
    return found


def _check(source: dict[str, Any], name: str, registry: Registry) -> Recipe:
    """A recipe without stages; `name` begins its errors."""
    options = _look_over(source, name, registry)
    made = {key: make_block(registry, kind, name, key, value, k) for kind, key, value, k in _blocks(source, name)}
    maps = {key: {b.label: b for k, b in made.items() if k.startswith(f"{key}.")} for key in BLOCK_MAPS}

    def teachers(one: str) -> dict[str, Block]:
        """The denoisers or encoders, of which a recipe may give one without a label."""
        many = maps[f"{one}s"]
        if one in made and many:
            raise RecipeError(f"{name}: {one}: given beside {one}s; move it to {one}s.<label>")
        return {one: made[one]} if one in made else many

    denoisers, encoders = teachers("denoiser"), teachers("encoder")
    blocks: dict[str, Any] = {key: made.get(key) for key in (*REQUIRED, "background", "start")}
    blocks |= {key: {k: with_teacher(b, denoisers, encoders) for k, b in maps[key].items()} for key in TERMS}
    blocks |= {"denoisers": denoisers, "encoders": encoders, "observers": maps["observers"], "export": maps["export"]}
    return Recipe(name, source, options, load_images(source, name, registry), **blocks)
