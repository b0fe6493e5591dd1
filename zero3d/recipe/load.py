"""A recipe as a whole: a mapping -> checked options and blocks, of every stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zero3d.errors import RecipeError, did_you_mean
from zero3d.labels import OWN_FILES, check_label
from zero3d.recipe.blocks import Block, make_block
from zero3d.recipe.options import RunOptions
from zero3d.recipe.reading import read_yaml
from zero3d.recipe.schema import typed
from zero3d.recipe.stages import split_stages
from zero3d.registry import Registry

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
EXPORT_KEYS = ("export", "renderer", "denoiser", "denoisers", "device")
"""Recipe keys that matter when a finished run is exported again."""


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


def load_recipe(file: str | Path, registry: Registry, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe. Of one with stages, the first stage, with the others in its `later`.

    Raises:
        RecipeError: one line that names the file, the key path, the value and the nearest right one.
    """
    whole, name = read_yaml(file, overrides), str(file)
    if whole.get("out") is not None:
        whole["out"] = _out(whole["out"], name)
    if whole.get("stages") is None:
        return _check(whole, name, registry)
    stages = split_stages(whole, name, BLOCK_MAPS)
    recipes = [dataclasses.replace(_check(own, place, registry), whole=whole) for place, own in stages.items()]
    return dataclasses.replace(recipes[0], later=tuple(recipes[1:]))


def _out(out: Any, name: str) -> str:
    """The run's folder as text; YAML reads the name 5 as a number."""
    if not isinstance(out, (str, int)) or isinstance(out, bool) or not str(out).strip():
        raise RecipeError(f"{name}: out: {out!r} is no folder; name one, for example out=runs/cat")
    return str(out)


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
        found: dict[str, Block] = {}
        for given, block in value.items():
            label = check_label(given, f"{name}: {key}")
            if label in found:
                raise RecipeError(f"{name}: {key}.{label}: twice, once as {given!r}; rename one")
            if key == "export" and label.casefold() in OWN_FILES:
                raise RecipeError(f"{name}: {key}.{label}: the run's own file is called so; rename it")
            if block is not None:
                block = {} if block is True else block
                found[label] = make_block(registry, BLOCK_MAPS[key], name, f"{key}.{label}", block, label)
        return found

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
